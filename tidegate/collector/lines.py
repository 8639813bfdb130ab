"""Splits a chunk of an event file into lines, and parses them into events or quarantined lines."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from tidegate.events.event import Event
from tidegate.events.truncation import truncate_event

# Bytes of a quarantined line that are recorded.
SHOWN_BYTES: Final = 4096
# orjson reads 1024 levels and writes 254; code that walks through events needs two of Python's 1000 stack
# frames per level.
MAX_LEVELS: Final = 200


class LinePosition(NamedTuple):
    """The position of a line: its file, and the offset of its first byte."""

    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class QuarantinedLine:
    """A line that no store accepts: its size in bytes, what is wrong with it, and its first bytes."""

    position: LinePosition
    size: int
    reason: str
    start: bytes


@dataclass(slots=True)
class Chunk:
    """The lines of a chunk of a file, which ends after its last complete line."""

    end: int
    events: list[tuple[LinePosition, Event]] = field(default_factory=list)
    quarantined: list[QuarantinedLine] = field(default_factory=list)

    def add(self, position: LinePosition, line: bytes, line_bytes: int) -> None:
        """Add a line (without its line end) as an event of at most this length, or quarantine it."""
        event = read_event(position, line)
        if isinstance(event, QuarantinedLine):
            self.quarantined.append(event)
        elif event is not None:
            long = len(line) >= line_bytes  # with its line end
            self.events.append((position, truncate_event(event, line_bytes) if long else event))


def split(file: str, data: bytes, offset: int, *, max_lines: int, line_bytes: int) -> Chunk:
    """Split a chunk at an offset of a file into its complete lines; events of `line_bytes` are truncated."""
    chunk = Chunk(offset)
    start = 0
    for _ in range(max_lines):
        end = data.find(b"\n", start)
        if end < 0:
            break
        position = LinePosition(file, offset + start)
        chunk.add(position, data[start:end], line_bytes)
        start = end + 1
    chunk.end = offset + start
    return chunk


def read_event(position: LinePosition, line: bytes) -> Event | QuarantinedLine | None:
    """Parse the event of a line; None for an empty line.

    An event without an id gets one from its position and its content: it is the same each time the line is
    read, and another one for a new line at the same offset of a file that was truncated.
    """
    if not line.strip():
        return None
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return QuarantinedLine(position, len(line), f"invalid JSON: {error}", line[:SHOWN_BYTES])
    if not isinstance(event, dict):
        return QuarantinedLine(position, len(line), "not a JSON object", line[:SHOWN_BYTES])
    if line.count(b"{") + line.count(b"[") > MAX_LEVELS and _levels(event) > MAX_LEVELS:
        reason = f"nested more than {MAX_LEVELS} levels deep"
        return QuarantinedLine(position, len(line), reason, line[:SHOWN_BYTES])
    about = event.setdefault("event", {})
    if isinstance(about, dict) and not about.get("id"):
        content = hashlib.blake2b(line, digest_size=8).hexdigest()
        about["id"] = f"{position.file}-{position.offset}-{content}"
    return event


def _levels(event: Event) -> int:
    """Return the depth of nested objects and lists."""
    levels, within = 0, list[Any]([event])
    while within:
        levels += 1
        items = (item.values() if isinstance(item, dict) else item for item in within)
        within = [one for item in items for one in item if isinstance(one, dict | list)]
    return levels


def overlong_line(
    position: LinePosition, size: int, head: bytes, max_bytes: int
) -> QuarantinedLine:
    """Quarantine a line that is longer than a batch."""
    return QuarantinedLine(position, size, f"longer than {max_bytes} bytes", head)


def incomplete_line(position: LinePosition, line: bytes) -> QuarantinedLine:
    """Quarantine the rest of a file without a line end, whose writer has ended."""
    return QuarantinedLine(position, len(line), "incomplete: its writer ended", line[:SHOWN_BYTES])
