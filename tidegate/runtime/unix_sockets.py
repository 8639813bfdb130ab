"""Unix sockets with paths of any length, a private mode, and one listener for each path."""

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
    """A process listens at the socket's path, or the file there is not a socket. Its text names it."""


@contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """An address of at most 107 bytes for the socket at `path`; valid inside the block only.

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

    Its folder is created if absent. The socket of a killed process is replaced.

    Raises:
        AddressInUseError: a process listens there, or the path is not a socket.
        OSError: the folder or the socket cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = _listen(path)
    inode = path.lstat().st_ino
    try:
        yield listener
    finally:
        listener.close()
        with suppress(FileNotFoundError):
            if path.lstat().st_ino == inode:
                path.unlink()


def _listen(path: Path) -> socket.socket:
    with _open_folder(path.parent) as folder, unix_address(path) as address:
        # No other process may check for a stale socket until this one is bound.
        fcntl.flock(folder, fcntl.LOCK_EX)
        _remove_stale(path, address)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(address)
            # Nobody can connect before `listen`, so the mode is in force for every connection.
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
            pass  # its queue is full, so a process listens
    raise AddressInUseError(errno.EADDRINUSE, f"{path} is in use: another process listens there")


@contextmanager
def _open_folder(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
