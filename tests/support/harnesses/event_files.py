"""A clock for an event writer, and the event files that a writer has written."""

from __future__ import annotations

from pathlib import Path

from tidegate.events.writer import EventWriter

START_NS = 1_700_000_000_123_456_789


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


def files(writer: EventWriter) -> list[Path]:
    """The files of a writer, in the order of their creation."""
    return sorted(writer.directory.iterdir(), key=lambda path: int(path.name.split(".")[-2]))


def contents(writer: EventWriter) -> list[bytes]:
    return [path.read_bytes() for path in files(writer)]
