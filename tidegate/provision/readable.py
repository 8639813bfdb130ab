"""Whether containers can read the checkout. They run as other users than the one who cloned it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# What images copy and containers have mounted. Not secrets/: it is read by root alone.
NAMES: Final = ("tidegate.toml", "observability", "models", "service", "tidegate", "loadgen")


def unreadable_problem(checkout: Path) -> str:
    """Why containers cannot read a checkout, or an image made from one; empty if they can."""
    closed = list(_closed(checkout))
    if not closed:
        return ""
    names = " ".join(name for name in NAMES if (checkout / name).exists())
    return (
        f"{closed[0].relative_to(checkout)} and {len(closed) - 1} more files are readable by their owner"
        " only, as after a clone with umask 077, and containers run as other users: run"
        f" `chmod -R go+rX {names}` in the project's folder, then `docker compose build`"
    )


def _closed(checkout: Path) -> Iterator[Path]:
    for name in NAMES:
        path = checkout / name
        if path.is_file() and not _open_to_all(path):
            yield path
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(each for each in folders if each != "__pycache__")
            found = (Path(folder, each) for each in sorted(files))
            yield from (each for each in (Path(folder), *found) if not _open_to_all(each))


def _open_to_all(path: Path) -> bool:
    mode = path.stat().st_mode
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return mode & needed == needed
