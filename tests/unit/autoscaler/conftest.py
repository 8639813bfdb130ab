"""Fixtures of the autoscaler's tests: its event log, and an autoscaler that writes to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.harnesses.autoscaler_run import AutoscalerRun, FaultyResizer, RecordedEvents


@pytest.fixture
def recorded_events(tmp_path: Path) -> Iterator[RecordedEvents]:
    recorded_events = RecordedEvents(tmp_path / "logs")
    yield recorded_events
    recorded_events.writer.close()


@pytest.fixture
def run(recorded_events: RecordedEvents) -> AutoscalerRun:
    return AutoscalerRun(FaultyResizer(), recorded_events)
