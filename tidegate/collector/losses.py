"""Finds event files that somebody deleted, cut or replaced before they were delivered."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class KnownFile(NamedTuple):
    """An event file as it was; the inode is 0 if it is not known."""

    size: int
    inode: int


@dataclass(frozen=True, slots=True)
class Loss:
    """What happened to a file that is not what it was, and how many undelivered bytes are gone with that."""

    name: str
    how: str
    size: int

    def __str__(self) -> str:
        return f"{self.name} was {self.how}: {self.size} bytes of events that were not delivered are lost"


def replaced(known: Mapping[str, KnownFile], found: Mapping[str, os.stat_result]) -> set[str]:
    """Return the names that now belong to other files."""
    return {
        name
        for name, status in found.items()
        if name in known and known[name].inode not in (0, status.st_ino)
    }


def losses(
    known: Mapping[str, KnownFile], found: Mapping[str, os.stat_result], offsets: Mapping[str, int]
) -> Iterator[Loss]:
    """Return what was lost since the last scan, or since the checkpoint, when these files were known."""
    others = replaced(known, found)
    for name, before in known.items():
        delivered = offsets.get(name, 0)
        if name not in found:
            how, left = "deleted", delivered
        elif name in others:
            how, left = "replaced", delivered
        else:
            how, left = "cut", max(found[name].st_size, delivered)
        if before.size > left:
            yield Loss(name, how, before.size - left)
