"""An event writer with small files, and its clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.harnesses.event_files import Clock
from tidegate.events.writer import EventWriter


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(tmp_path: Path, clock: Clock) -> Iterator[EventWriter]:
    made = EventWriter(tmp_path / "logs", "flights-1", file_bytes=200, clock_ns=clock)
    yield made
    made.close()
