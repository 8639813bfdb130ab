"""Whether the data folder can be written to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from tidegate.os_errors import os_error_message

MIB: Final = 2**20
MIN_FREE_BYTES: Final = 8 * MIB
"""With less, Prometheus and the store soon fail to write, each with words of its own."""


def free_bytes(folder: Path) -> int:
    """What is free for this user on the disk of a folder, which may not be there yet.

    Raises:
        OSError: it cannot be looked at.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def folder_problem(folder: Path) -> str:
    """Why nothing can be written in the data folder, and what to do; empty if it can."""
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            return f"{there} cannot be written to: set stack.data_dir to another folder"
        free = free_bytes(folder)
    except OSError as error:
        return f"stack.data_dir: {os_error_message(error)}"
    if free < MIN_FREE_BYTES:
        return (
            f"the disk of {folder} is full ({free / MIB:.0f} MiB free): events cannot be written; free some"
            " space, or set stack.data_dir to a folder on another disk"
        )
    return ""
