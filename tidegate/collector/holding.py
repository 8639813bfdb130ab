"""Who still writes to an event file: its writer holds a shared `flock` on it for as long as it has it open.

The kernel lets go of the lock when the writer ends, however it ends, and shows it to every process that
sees the same file: so this holds across containers, where a process number says nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidegate.collector import names


def is_free(path: Path) -> bool:
    """Whether nobody has the file open for writing.

    Raises:
        OSError: it cannot be opened, or its file system knows no locks.
    """
    with _locked(path) as free:
        return free


def delete(path: Path) -> bool:
    """Delete a file unless somebody writes to it; whether it is gone.

    A writer that has made the file and not locked it yet finds out that it is gone, and takes another.

    Raises:
        OSError: it cannot be opened, locked or deleted.
    """
    if names.parse(path.name) is None:
        return False  # another program's file, which may write to it without a lock
    try:
        with _locked(path) as free:
            if free:
                path.unlink()
            return free
    except FileNotFoundError:
        return True


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Inside the block nobody can begin to write to it; False if somebody has."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(fd)
