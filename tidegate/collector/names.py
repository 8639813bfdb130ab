"""What an event file's name says: `<node>.<start in ms>-<pid>.<sequence>.ndjson`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

SUFFIX: Final = ".ndjson"
_NAME = re.compile(r"(?P<node>.+)\.(?P<start>\d{1,20}-\d{1,10})\.(?P<number>\d{1,20})\.ndjson")


@dataclass(frozen=True, slots=True)
class FileName:
    """A file's place in its writer's row of files.

    Attributes:
        row: the writer: its node, when it started and its process; the same for all its files.
        number: the file's place in the row; a writer appends to its newest one only.
    """

    row: str
    number: int


def parse(name: str) -> FileName | None:
    """What the name says; None if it is not a name of our writers, which is allowed."""
    found = _NAME.fullmatch(name)
    if not found:
        return None
    return FileName(f"{found['node']}.{found['start']}", int(found["number"]))
