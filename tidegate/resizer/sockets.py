"""Unix sockets with a path of any length, a private mode, and no doubt about who listens."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

# sun_path holds 108 bytes, the last of them a NUL: unix(7).
ADDRESS_BYTES: Final = 107


class AddressInUseError(OSError):
    """Something else is at the socket's path. Its text names it."""


@contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """An address for the socket at `path` that fits into 107 bytes; valid inside the block only.

    A longer path is reached through its open folder, /proc/self/fd/N/name, which the kernel
    resolves at bind and at connect like any other path.

    Raises:
        OSError: the folder of a long path cannot be opened.
    """
    if len(os.fsencode(path)) <= ADDRESS_BYTES:
        yield str(path)
        return
    with _open_folder(path.parent) as folder:
        yield f"/proc/self/fd/{folder}/{path.name}"


@contextmanager
def unix_listener(path: Path) -> Iterator[socket.socket]:
    """A listening stream socket at `path`, of mode 0600, inside the block; then it is removed.

    Its folder is made if absent. The file that a killed process left behind is replaced.

    Raises:
        AddressInUseError: a process listens there, or the path is not a socket.
        OSError: the folder or the socket cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = _listen(path)
    ours = path.lstat().st_ino
    try:
        yield listener
    finally:
        listener.close()
        with suppress(FileNotFoundError):
            if path.lstat().st_ino == ours:
                path.unlink()


def _listen(path: Path) -> socket.socket:
    with _open_folder(path.parent) as folder, unix_address(path) as address:
        # Between the look at an old file and our bind, no second starter may do the same.
        fcntl.flock(folder, fcntl.LOCK_EX)
        _remove_stale(path, address)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(address)
            # Before listen nobody can connect, so there is no moment at which others get in.
            path.chmod(0o600)
            listener.listen()
        except OSError:
            listener.close()
            raise
        return listener


def _remove_stale(path: Path, address: str) -> None:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise AddressInUseError(errno.EADDRINUSE, f"{path} is in the way: it is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except (BlockingIOError, TimeoutError):
            pass  # its queue is full, so somebody listens
    raise AddressInUseError(errno.EADDRINUSE, f"{path} is in use: another process listens there")


@contextmanager
def _open_folder(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
