"""Selects the event files to delete: delivered completely, closed, and too old or too large in total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tidegate.collector.tail import LogFile


class Retention(NamedTuple):
    """How long files are kept, and how many bytes of them. See the settings `collector.keep_*`."""

    seconds: float
    size: int


def expired(
    files: Iterable[LogFile], offsets: Mapping[str, int], keep: Retention, now: float
) -> list[str]:
    """Return the names of the files to delete, oldest first; `offsets` are their delivered bytes."""
    done = [file for file in files if file.closed and offsets.get(file.name, 0) >= file.size]
    done.sort(key=lambda file: (file.modified, file.name))
    excess = sum(file.size for file in done) - keep.size
    names = []
    for file in done:
        if now - file.modified > keep.seconds or excess > 0:
            names.append(file.name)
            excess -= file.size
    return names
