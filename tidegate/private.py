"""Folders and files that only their own user may read: what is kept there holds what clients sent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final, Literal

UMASK: Final = 0o077
"""Of a process whose files, those of its libraries too, are to be its user's alone."""
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_HOW: Final = {"wb": os.O_TRUNC, "ab": os.O_APPEND}


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may enter; one that is there becomes so.

    Raises:
        OSError: it cannot be made, or is another user's.
    """
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    if folder.stat().st_mode & UMASK:
        folder.chmod(FOLDER_MODE)


def open_private(path: Path, mode: Literal["wb", "ab"]) -> BinaryIO:
    """Open a file for writing that only its owner may read; one that is there becomes so.

    Raises:
        OSError: it cannot be opened, is another user's, or is a symbolic link.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | _HOW[mode]
    descriptor = os.open(path, flags, FILE_MODE)
    try:
        os.fchmod(descriptor, FILE_MODE)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, mode)
