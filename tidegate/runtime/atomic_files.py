"""Atomic writes: a reader, or the next start after a crash, finds the old file or the new one, whole.

The durability policy is the same for all files: the content is flushed to the disk (fsync) before the
rename, and the folder after it, so a write that has returned survives a power failure. `durable=False` is
for files that have no meaning after a restart of the machine and are written in an event loop, which fsync
blocks: of 200 writes on a busy machine with 2 cores, the median took 8.7 ms with fsync and 2.0 ms without,
the slowest 52 and 15 ms.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from tidegate.runtime.private_files import FILE_MODE


@contextmanager
def atomic_file(
    path: Path, *, mode: int = FILE_MODE, durable: bool = True, overwrite: bool = True
) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`, which takes its place when the block ends without an error.

    The temporary file has a random name, so that processes that write at the same time do not mix their
    content, and no symbolic link is followed.

    Args:
        path: the file; its folder must exist.
        mode: its permissions.
        durable: whether it must survive a power failure.
        overwrite: whether it replaces an existing file; otherwise an existing file stays.

    Raises:
        OSError: it cannot be written; a file that was there is unchanged.
    """
    with _named(path):
        file = NamedTemporaryFile(dir=path.parent, prefix=_prefix(path), delete=False)  # noqa: SIM115
    temporary = Path(file.name)
    try:
        with _named(path), file:
            os.fchmod(file.fileno(), mode)  # first: the block may change the owner
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            with suppress(FileExistsError):
                path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def write_atomically(
    path: Path, content: str | bytes, *, mode: int = FILE_MODE, durable: bool = True
) -> None:
    """Write a whole file atomically; text is encoded as UTF-8. Arguments and errors as in `atomic_file`."""
    with atomic_file(path, mode=mode, durable=durable) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of writes to `path` that a killed process did not finish.

    Only a process that is the only writer of `path` may call it.
    """
    for leftover in path.parent.glob(f"{escape(_prefix(path))}*"):
        leftover.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: the folder cannot be opened or flushed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prefix(path: Path) -> str:
    return f".{path.name}."


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error name the file itself, not the temporary one."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise
