"""A collector harness, and the writer of its events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.harnesses.collector_harness import NOW, Harness
from tidegate.events.writer import EventWriter


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


@pytest.fixture
def writer(harness: Harness) -> Iterator[EventWriter]:
    made = EventWriter(harness.logs, "flights-1", clock_ns=lambda: int(NOW * 1e9))
    yield made
    made.close()
