"""Opens event files, and detects whether a file has a writer, which holds a shared `flock` on it.

The kernel releases the lock when the writer ends for any reason, and every process that sees the file sees
the lock. So this also works across containers, where process ids are not comparable.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidegate.collector import file_names
from tidegate.runtime.locks import try_lock


def is_free(path: Path) -> bool:
    """Return whether no writer holds the file.

    Raises:
        OSError: It cannot be opened, or its file system does not support locks.
    """
    with _locked(path) as free:
        return free


def delete(path: Path, delivered: int) -> bool:
    """Delete a file that is delivered completely, unless a writer holds it; return whether it is gone.

    A writer that has created the file but not yet locked it detects the deletion and creates another one. If
    a writer wrote more after the size was read, and closed the file, it is longer than what was delivered
    and is not deleted.

    Raises:
        OSError: It cannot be opened, locked or deleted.
    """
    if file_names.parse(path.name) is None:
        return False  # a file of another program, which may write to it without a lock
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
    """Open the file for reading and yield its descriptor.

    Other users may write to its folder: a link in place of a file could point to a file that only the
    collector may read, and a pipe would block it.

    Raises:
        OSError: It cannot be opened, or is not a regular file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Lock the file against new writers and yield True; yield False if a writer holds it."""
    with opened(path) as fd:
        yield try_lock(fd)
