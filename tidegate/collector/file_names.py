"""Parses event file names: `<node>.<start in ms>-<pid>.<sequence>.ndjson`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

SUFFIX: Final = ".ndjson"
_NAME = re.compile(r"(?P<node>.+)\.(?P<start>\d{1,20}-\d{1,10})\.(?P<number>\d{1,20})\.ndjson")


@dataclass(frozen=True, slots=True)
class FileName:
    """The parts of a file name.

    Attributes:
        writer: Node, start time and process id of the writer; the same for all its files.
        number: Sequence number; a writer appends only to its file with the highest number.
    """

    writer: str
    number: int


def parse(name: str) -> FileName | None:
    """Parse a file name; None for a file of another program, which is allowed."""
    found = _NAME.fullmatch(name)
    if not found:
        return None
    return FileName(f"{found['node']}.{found['start']}", int(found["number"]))
