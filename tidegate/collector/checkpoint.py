"""The checkpoint: the delivered offset of each event file. It survives restarts and power failures.

It is written after the store has acknowledged a batch. If it is lost, all event files are delivered again,
and the store ignores duplicates by their ids.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tidegate.runtime.atomic_files import write_atomically
from tidegate.runtime.daemon import CannotStartError

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of the delivery.

    Attributes:
        offsets: Offset of the first undelivered byte of each file.
        sizes: Size of each file at that time, which shows whether a missing file was delivered completely.
        ends: Digest of the last bytes before each offset, which shows whether the file is still the same.
        mark: Of the embedded store at that time, which shows whether it is still the same or a later one.
        clock: The state of a `SteadyClock` at that time.
    """

    offsets: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    mark: int = 0
    clock: tuple[float, float] = (0.0, 0.0)


class Checkpoint:
    """The checkpoint file."""

    def __init__(self, path: Path):
        self._path = path
        self.problem = ""

    def load(self) -> Progress:
        """Read the progress; for an invalid file it is empty, and `problem` contains the reason.

        Raises:
            CannotStartError: A newer version wrote it. It may hold what this one would lose.
        """
        try:
            content = json.loads(self._path.read_bytes())
            if content["version"] > VERSION:
                raise CannotStartError(
                    f"{self._path} is in format {content['version']}, and this version of Tidegate reads "
                    f"format {VERSION}: use the version that wrote it, or remove the file to deliver every "
                    "event file again"
                )
            return _parse(content)
        except FileNotFoundError:
            return Progress()
        except (OSError, ArithmeticError, ValueError, KeyError, TypeError) as error:
            self.problem = f"{self._path} cannot be read ({error}): delivering every file again"
            return Progress()

    def save(self, progress: Progress) -> None:
        """Write the progress atomically and durably.

        Raises:
            OSError: The file cannot be written.
        """
        content = {
            "version": VERSION,
            "files": progress.offsets,
            "sizes": progress.sizes,
            "ends": progress.ends,
            "mark": progress.mark,
            "clock": progress.clock,
        }
        write_atomically(self._path, json.dumps(content))


def _parse(content: dict[str, Any]) -> Progress:
    if content["version"] != VERSION:
        raise ValueError(f"unknown version {content['version']}")
    ends = content.get("ends", {})
    if not isinstance(ends, dict):
        raise TypeError("the ends are no object")
    clock, jumped_at = content.get("clock", (0.0, 0.0))
    return Progress(
        _numbers(content["files"]),
        _numbers(content.get("sizes", {})),
        ends,
        int(content.get("mark", 0)),
        (float(clock), float(jumped_at)),
    )


def _numbers(value: object) -> dict[str, int]:
    if not isinstance(value, dict) or not all(_is_size(number) for number in value.values()):
        raise ValueError("the offsets are not numbers")
    return dict(value)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
