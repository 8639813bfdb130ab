"""Cuts a piece of an event file into lines, and lines into events and what is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from tidegate.events import Event

# What is kept of a line that was set aside.
SHOWN_BYTES: Final = 4096
# JSON is read to 1024 levels here, and written to 254; what walks through events takes two of Python's
# 1000 calls for each level.
MOST_LEVELS: Final = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line begins."""

    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class Aside:
    """A line that no store can take.

    Attributes:
        place: where it stands.
        size: its bytes.
        reason: what is wrong with it.
        start: its first bytes.
    """

    place: Place
    size: int
    reason: str
    start: bytes


@dataclass(slots=True)
class Piece:
    """What a piece of a file holds.

    Attributes:
        events: with the place of each.
        asides: the lines that are no events.
        end: the offset of the first byte after its last whole line.
    """

    end: int
    events: list[tuple[Place, Event]] = field(default_factory=list)
    asides: list[Aside] = field(default_factory=list)

    def add(self, place: Place, line: bytes) -> None:
        """Take a line (without its end) as an event, or set it aside."""
        event = read_event(place, line)
        if isinstance(event, Aside):
            self.asides.append(event)
        elif event is not None:
            self.events.append((place, event))


def cut(file: str, data: bytes, offset: int, *, max_lines: int, line_bytes: int) -> Piece:
    """The whole lines of a piece.

    Args:
        file: the file's name.
        data: the piece.
        offset: where in the file it begins.
        max_lines: at most so many lines.
        line_bytes: a longer line is set aside.
    """
    piece = Piece(offset)
    start = 0
    for _ in range(max_lines):
        end = data.find(b"\n", start)
        if end < 0:
            break
        place = Place(file, offset + start)
        if end - start > line_bytes:
            head = data[start : min(end, start + SHOWN_BYTES)]
            piece.asides.append(too_long(place, end - start, head, line_bytes))
        else:
            piece.add(place, data[start:end])
        start = end + 1
    piece.end = offset + start
    return piece


def read_event(place: Place, line: bytes) -> Event | Aside | None:
    """The event of a line; None for an empty line.

    An event without an id gets one of its place, which is the same however often the line is read.
    """
    if not line.strip():
        return None
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Aside(place, len(line), f"it is no JSON: {error}", line[:SHOWN_BYTES])
    if not isinstance(event, dict):
        return Aside(place, len(line), "it is no JSON object", line[:SHOWN_BYTES])
    if line.count(b"{") + line.count(b"[") > MOST_LEVELS and _levels(event) > MOST_LEVELS:
        reason = f"it is nested more than {MOST_LEVELS} levels deep"
        return Aside(place, len(line), reason, line[:SHOWN_BYTES])
    about = event.setdefault("event", {})
    if isinstance(about, dict) and not about.get("id"):
        about["id"] = f"{place.file}-{place.offset}"
    return event


def _levels(event: Event) -> int:
    """How deep objects and lists are nested."""
    levels, within = 0, list[Any]([event])
    while within:
        levels += 1
        items = (item.values() if isinstance(item, dict) else item for item in within)
        within = [one for item in items for one in item if isinstance(one, dict | list)]
    return levels


def too_long(place: Place, size: int, head: bytes, line_bytes: int) -> Aside:
    """A line of more than `collector.line_bytes`."""
    return Aside(place, size, f"it is longer than {line_bytes} bytes", head)


def torn(place: Place, line: bytes) -> Aside:
    """The rest of a file that has no line end, and whose writer is gone."""
    return Aside(place, len(line), "its writer ended within it", line[:SHOWN_BYTES])
