"""Folders and files that only their owner may read, because they contain what clients sent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final, Literal

UMASK: Final = 0o077
"""The umask of a process whose files, including those of its libraries, must be private."""
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_FLAGS: Final = {"wb": os.O_TRUNC, "ab": os.O_APPEND}


def make_private_folder(folder: Path) -> None:
    """Create a folder that only its owner may enter, or restrict an existing one.

    Raises:
        OSError: it cannot be created, or belongs to another user.
    """
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    if folder.stat().st_mode & UMASK:
        folder.chmod(FOLDER_MODE)


def open_private_file(path: Path, mode: Literal["wb", "ab"]) -> BinaryIO:
    """Open a file for writing that only its owner may read; an existing file is restricted.

    Raises:
        OSError: it cannot be opened, belongs to another user, or is a symbolic link.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | _FLAGS[mode]
    descriptor = os.open(path, flags, FILE_MODE)
    try:
        os.fchmod(descriptor, FILE_MODE)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, mode)
