"""Exclusive locks between processes (flock). The kernel releases a lock when its process ends in any way."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tidegate.runtime.private_files import FILE_MODE

POLL_SECONDS: Final = 0.01


class LockedError(RuntimeError):
    """Another process, or another open file of this one, has the lock."""


def try_lock(descriptor: int) -> bool:
    """Lock an open file if nobody else has locked it. Returns whether it is locked now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive_lock(path: Path, wait_seconds: float | None = 0.0) -> Iterator[int]:
    """Hold the lock of a file, which is created if absent and stays, inside the block.

    Args:
        path: the lock file; its folder must exist.
        wait_seconds: how long to wait for the lock; None waits until it is free.

    Yields:
        The descriptor of the lock file, open for reading and writing.

    Raises:
        LockedError: it is not free within `wait_seconds`.
        OSError: the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        _lock(descriptor, path, wait_seconds)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def temporary_lock(path: Path, wait_seconds: float | None = None) -> Iterator[None]:
    """As `exclusive_lock`, and remove the file at the end."""
    while True:
        with exclusive_lock(path, wait_seconds) as descriptor:
            # The previous holder may have removed the file after it was opened here: such a lock excludes
            # nobody.
            if not _is_open_file(descriptor, path):
                continue
            try:
                yield
            finally:
                with suppress(OSError):
                    path.unlink()
            return


def _is_open_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int, path: Path, wait_seconds: float | None) -> None:
    if wait_seconds is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    deadline = time.monotonic() + wait_seconds
    while not try_lock(descriptor):
        if time.monotonic() >= deadline:
            raise LockedError(f"{path} is locked by another process")
        time.sleep(POLL_SECONDS)
