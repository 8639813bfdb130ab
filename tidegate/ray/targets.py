"""Registration of a replica's metrics with Prometheus, by a file of its own (file_sd).

Ray starts replicas on ports that nobody knows before, so each one writes where its metrics are. A replica
that is killed cannot remove its file; the others do. They know it by a lock that the kernel releases when its
process ends in any way.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from tidegate.runtime.locks import try_lock

FILE_MODE: Final = 0o644
"""Prometheus, another user, reads the files. They hold addresses only."""
SUFFIX: Final = ".json"
_FILE: Final = re.compile(r"[A-Za-z0-9._-]+\.json")


class TargetFile:
    """The file of one replica, from `open` to `close`."""

    def __init__(self, folder: Path, node: str, address: str) -> None:
        self.path: Final = folder / f"{node}{SUFFIX}"
        self._content = [{"targets": [address], "labels": {"replica": node}}]
        self._descriptor: int | None = None

    def open(self) -> None:
        """Register the replica.

        Raises:
            OSError: the folder cannot be created or written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Locked before it has its name: else another replica could take it for one that was left behind.
        unnamed = self.path.with_suffix(f".{os.getpid()}.new")
        descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
        try:
            os.fchmod(descriptor, FILE_MODE)
            try_lock(descriptor)
            os.write(descriptor, json.dumps(self._content).encode())
            unnamed.replace(self.path)
        except OSError:
            os.close(descriptor)
            unnamed.unlink(missing_ok=True)
            raise
        self._descriptor = descriptor

    def close(self) -> None:
        """Remove the file; without effect if it is not open."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            os.close(descriptor)


def remove_orphans(folder: Path) -> list[str]:
    """Remove the files of replicas that no longer run, and return their names.

    A file that cannot be opened or removed stays. Never raises.
    """
    removed: list[str] = []
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return removed
    for name in names:
        if _FILE.fullmatch(name) and _is_orphan(folder / name):
            with suppress(OSError):
                (folder / name).unlink()
                removed.append(name.removesuffix(SUFFIX))
    return removed


def _is_orphan(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return try_lock(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
