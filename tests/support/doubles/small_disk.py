"""A disk of a test's own that can be full: a small tmpfs."""

from __future__ import annotations

import errno
import mmap
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BALLAST = "ballast"
PAGE_BYTES = mmap.PAGESIZE


class CannotMountError(RuntimeError):
    """A tmpfs cannot be mounted here."""


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """The folder as a disk of the given size in bytes.

    Raises:
        CannotMountError: it cannot be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotMountError(done.stderr.strip())
    try:
        yield folder
    finally:
        # At once, also if something still has a file open there.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *files: Path) -> None:
    """Leave no byte free, nor in the last page of these files, which a tmpfs has given them already."""
    with (folder / BALLAST).open("ab", buffering=0) as file:
        while True:
            try:
                file.write(b"x" * 4096)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                break
    for path in files:
        with path.open("ab", buffering=0) as file:
            file.write(b"\n" * (-path.stat().st_size % PAGE_BYTES))


def make_room(folder: Path) -> None:
    """Let the disk have space again."""
    (folder / BALLAST).unlink()
