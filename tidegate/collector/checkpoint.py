"""How far each event file is delivered, across restarts and power failures.

The checkpoint is written after the store has acknowledged. If it is lost, all event files are delivered
again, and the store drops duplicates by the events' ids.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tidegate.runtime.atomic_files import write_atomically

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """What is delivered.

    Attributes:
        offsets: of each file, the first byte not delivered.
        quarantine_bytes: the size of the quarantine at this checkpoint. Lines beyond it are of a delivery
            that did not end, and are quarantined again. None: unknown.
    """

    offsets: dict[str, int] = field(default_factory=dict)
    quarantine_bytes: int | None = None


class Checkpoint:
    """The file that holds the progress."""

    def __init__(self, path: Path):
        self._path = path
        self.problem = ""

    def load(self) -> Progress:
        """Read the progress; if the file cannot be read, it is empty and `problem` says why."""
        try:
            return _read(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return Progress()
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.problem = f"{self._path} cannot be read ({error}): delivering every file again"
            return Progress()

    def save(self, progress: Progress) -> None:
        """Write the progress atomically and durably.

        Raises:
            OSError: it cannot be written.
        """
        held = {
            "version": VERSION,
            "files": progress.offsets,
            "quarantine_bytes": progress.quarantine_bytes,
        }
        write_atomically(self._path, json.dumps(held))


def _read(held: dict[str, object]) -> Progress:
    if held["version"] != VERSION:
        raise ValueError(f"version {held['version']} is unknown")
    files, size = held["files"], held["quarantine_bytes"]
    if not isinstance(files, dict) or not all(_is_size(offset) for offset in files.values()):
        raise ValueError("the offsets are no numbers")
    if size is not None and not _is_size(size):
        raise ValueError("quarantine_bytes is no number")
    return Progress(dict(files), size if isinstance(size, int) else None)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
