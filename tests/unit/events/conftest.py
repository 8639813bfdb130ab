"""A writer of small files, its clock, and what it has written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.events.writer import EventWriter

START_NS = 1_700_000_000_123_456_789


class Clock:
    """A clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(tmp_path: Path, clock: Clock) -> Iterator[EventWriter]:
    made = EventWriter(tmp_path / "logs", "flights-1", file_bytes=200, clock_ns=clock)
    yield made
    made.close()


def files(writer: EventWriter) -> list[Path]:
    """Its files, in the order in which they were begun."""
    return sorted(writer.directory.iterdir(), key=lambda path: int(path.name.split(".")[-2]))


def contents(writer: EventWriter) -> list[bytes]:
    return [path.read_bytes() for path in files(writer)]
