"""Checks that containers can read the checkout; they run as other users than its owner."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# The paths that images copy or containers mount. Not secrets/: only root reads it.
PATHS: Final = ("tidegate.toml", "observability", "models", "service", "tidegate", "loadgen")


def unreadable_problem(checkout: Path) -> str:
    """Why containers cannot read a checkout, or an image built from it; empty if they can."""
    unreadable = list(_unreadable(checkout))
    if not unreadable:
        return ""
    paths = " ".join(name for name in PATHS if (checkout / name).exists())
    return (
        f"{unreadable[0].relative_to(checkout)} and {len(unreadable) - 1} more files are readable only by"
        " their owner, as after a clone with umask 077, but containers run as other users: run"
        f" `chmod -R go+rX {paths}` in the project's folder, then `docker compose build`"
    )


def _unreadable(checkout: Path) -> Iterator[Path]:
    for name in PATHS:
        path = checkout / name
        if path.is_file() and not _readable_by_all(path):
            yield path
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(each for each in folders if each != "__pycache__")
            found = (Path(folder, each) for each in sorted(files))
            yield from (each for each in (Path(folder), *found) if not _readable_by_all(each))


def _readable_by_all(path: Path) -> bool:
    mode = path.stat().st_mode
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return mode & needed == needed
