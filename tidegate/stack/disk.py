"""Whether the data folder can be written to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from tidegate.os_errors import os_error_message

MIB: Final = 2**20
MIN_FREE_BYTES: Final = 8 * MIB
"""With less, writes of Prometheus and the store soon fail, each with a different message."""


def free_bytes(folder: Path) -> int:
    """The free bytes for this user on the disk of a folder, which may not exist yet.

    Raises:
        OSError: the folder is not accessible.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free


def folder_problem(folder: Path) -> str:
    """Why the data folder cannot be written, and what to do; empty if it can."""
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            return f"{existing} cannot be written to: set stack.data_dir to another folder"
        if not shutil.disk_usage(
            existing
        ).total:  # /proc, /sys: no disk, and nothing can be created there
            return f"{existing} is not on a disk: set stack.data_dir to another folder"
        free = free_bytes(folder)
    except OSError as error:
        return f"stack.data_dir: {os_error_message(error)}"
    if free < MIN_FREE_BYTES:
        return (
            f"the disk of {folder} is full ({free / MIB:.0f} MiB free): events cannot be written; free some"
            " space, or set stack.data_dir to a folder on another disk"
        )
    return ""
