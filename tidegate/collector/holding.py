"""Opens event files, and finds out whether one has a writer, which holds a shared `flock` on its open file.

The kernel lets go of the lock when the writer ends, however it ends, and shows it to every process that
sees the same file: so this holds across containers, where a process number says nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
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


def delete(path: Path, delivered: int) -> bool:
    """Delete a file that is delivered to its end, unless somebody writes to it; whether it is gone.

    A writer that has made the file and not locked it yet finds out that it is gone, and takes another. One
    that wrote more after the file's size was read, and then closed it, leaves it longer than what was
    delivered.

    Args:
        path: the file.
        delivered: its first bytes, which may go.

    Raises:
        OSError: it cannot be opened, locked or deleted.
    """
    if names.parse(path.name) is None:
        return False  # another program's file, which may write to it without a lock
    try:
        with _locked(path) as free:
            done = free and path.stat().st_size <= delivered
            if done:
                path.unlink()
            return done
    except FileNotFoundError:
        return True


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of the file for reading.

    Others write in its folder: a link that one of them puts in a file's place would lead to what only the
    collector may read, and a pipe would hold it up.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Inside the block nobody can begin to write to it; False if somebody has."""
    with opened(path) as fd:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
