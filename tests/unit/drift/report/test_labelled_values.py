"""Outcome events of a regressor become columns, each with the segments of its request."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.samples.drift_report import MakeEvent
from tidegate.drift.report.labelled_values import join_values, read_labelled_values
from tidegate.events.event import Event
from tidegate.store.embedded.store import EmbeddedStore

TRACE = "b" * 32


@pytest.fixture
def value(outcome: MakeEvent) -> MakeEvent:
    """Creates the event of a regressor's label."""

    def make(at: float, predicted: object, actual: object, **changes: Any) -> Event:
        event = outcome(at, 1, **changes)
        fields = event["tidegate"]["outcome"]
        for name in ("predicted", "actual", "correct", "confidence"):
            del fields[name]
        fields |= {"predicted_value": predicted, "actual_value": actual}
        return event

    return make


def test_values_are_joined_with_their_segments(value: MakeEvent, request_event: MakeEvent) -> None:
    inside = value(20, 5.0, 6.5, trace=TRACE, inside=True)
    outside = value(10, 1, -30, inside=False)
    unknown = value(30, 2.0, 2.0)
    requests = [request_event(20, TRACE, {"carrier": ["UA"]})]
    rows = join_values([inside, outside, unknown], requests, ["carrier"])
    assert rows.answered.tolist() == [10, 20, 30]
    assert rows.residuals.tolist() == [-31, 1.5, 0]
    assert rows.inside[:2].tolist() == [0, 1]
    assert np.isnan(rows.inside[2])
    assert rows.segments["carrier"].tolist() == ["", "UA", ""]
    assert rows.trace[1] == TRACE


@pytest.mark.parametrize("broken", ["many", None, float("nan"), float("inf"), []])
def test_an_event_without_a_number_is_skipped(value: MakeEvent, broken: object) -> None:
    rows = join_values([value(1, broken, 1.0), value(1, 1.0, broken)], [], ["carrier"])
    assert len(rows) == 0
    assert rows.residuals.tolist() == []


def test_the_events_of_one_model_and_version_are_read(value: MakeEvent, tmp_path: Path) -> None:
    now = datetime.now(UTC).timestamp()
    other = value(now - 20, 1.0, 1.0)
    other["tidegate"]["model"]["name"] = "fraud"
    store = EmbeddedStore(tmp_path / "store")
    store.append([value(now - 20, 1.0, 4.0), value(now - 20, 1.0, 2.0, version="v2"), other])
    since = datetime.fromtimestamp(now - 50, UTC)
    assert read_labelled_values(store, "flights", "v1", since, []).residuals.tolist() == [3.0]
    store.close()
