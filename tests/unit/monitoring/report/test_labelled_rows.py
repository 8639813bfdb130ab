"""Outcome events become rows, of labels or of values, with the segments of their request events."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from support.samples.drift_report import (
    CLASSIFIER,
    REGRESSOR,
    outcome,
    request_event,
    value_outcome,
)
from tidegate.monitoring.report import labelled_rows as module
from tidegate.monitoring.report.labelled_rows import join_outcomes, read_labelled_rows
from tidegate.monitoring.tasks.registry import make_task
from tidegate.settings import Drift
from tidegate.store.embedded.store import EmbeddedStore

TRACE = "b" * 32
LABELS, VALUES = make_task(CLASSIFIER, Drift()), make_task(REGRESSOR, Drift())


def test_rows_are_ordered_by_the_time_of_the_response() -> None:
    rows = join_outcomes(
        LABELS, [outcome(20), outcome(10, 100, actual="on_time", confidence=0.7)], [], []
    )
    assert rows.answered.tolist() == [10, 20]
    assert rows.actual.tolist() == ["on_time", "late"]
    assert rows.known["confidence"].tolist() == [0.7, 0.9]
    assert len(rows) == 2


def test_each_row_has_its_segment_of_the_request_event() -> None:
    request = request_event(1, TRACE, {"carrier": ["AA", None]})
    outcomes = [outcome(at, trace=TRACE, row=at) for at in range(3)]
    rows = join_outcomes(LABELS, [*outcomes, outcome(3)], [request], ["carrier", "origin"])
    assert rows.segments["carrier"].tolist() == ["AA", "", "", ""]
    assert rows.segments["origin"].tolist() == [""] * 4


def test_requests_of_one_trace_are_distinguished_by_their_spans() -> None:
    spans = ("1" * 16, "2" * 16)
    requests = [
        request_event(at, TRACE, {"carrier": [carrier]}, span)
        for at, (carrier, span) in enumerate(zip(("AA", "UA"), spans, strict=True))
    ]
    outcomes = [outcome(at, trace=TRACE, span=span) for at, span in enumerate((*spans, "3" * 16))]
    rows = join_outcomes(LABELS, outcomes, requests, ["carrier"])
    assert rows.segments["carrier"].tolist() == ["AA", "UA", ""]


def test_an_outcome_without_its_span_has_a_segment_only_if_its_trace_has_one_request() -> None:
    other = "d" * 32
    requests = [
        request_event(1, TRACE, {"carrier": ["AA"]}, "1" * 16),
        request_event(2, TRACE, {"carrier": ["UA"]}, "2" * 16),
        request_event(3, other, {"carrier": ["DL"]}),
    ]
    rows = join_outcomes(
        LABELS, [outcome(1, trace=TRACE), outcome(3, trace=other)], requests, ["carrier"]
    )
    assert rows.segments["carrier"].tolist() == ["", "DL"]


@pytest.mark.parametrize("reverse", [False, True])
def test_the_first_of_two_labels_with_one_id_counts(*, reverse: bool) -> None:
    first, again = (
        outcome(10, lag, event_id="e" * 32, actual=actual)
        for lag, actual in ((5, "late"), (3600, "on_time"))
    )
    rows = join_outcomes(LABELS, [again, first] if reverse else [first, again], [], [])
    assert (rows.actual.tolist(), rows.answered.tolist()) == (["late"], [10])


def test_events_without_a_field_are_skipped() -> None:
    broken = outcome(1)
    del broken["tidegate"]["outcome"]["actual"]
    other = outcome(1)
    other["tidegate"]["outcome"] = "late"
    rows = join_outcomes(LABELS, [broken, other, {"message": "no time"}], [], ["carrier"])
    assert len(rows) == 0
    assert rows.segments["carrier"].tolist() == []


def test_a_label_of_a_prediction_without_confidence_counts() -> None:
    event = outcome(1)
    del event["tidegate"]["outcome"]["confidence"]
    rows = join_outcomes(LABELS, [event], [], [])
    assert rows.actual.tolist() == ["late"]
    assert np.isnan(rows.known["confidence"]).all()


def test_the_values_of_a_regressor_have_the_segments_of_their_requests() -> None:
    inside = value_outcome(20, 5.0, 6.5, trace=TRACE, inside=True)
    outside = value_outcome(10, 1, -30, inside=False)
    unknown = value_outcome(30, 2.0, 2.0)
    requests = [request_event(20, TRACE, {"carrier": ["UA"]})]
    rows = join_outcomes(VALUES, [inside, outside, unknown], requests, ["carrier"])
    assert rows.answered.tolist() == [10, 20, 30]
    assert VALUES.detail(rows).tolist() == [-31, 1.5, 0]
    assert rows.known["inside"][:2].tolist() == [0, 1]
    assert np.isnan(rows.known["inside"][2])
    assert rows.segments["carrier"].tolist() == ["", "UA", ""]
    assert rows.trace[1] == TRACE


@pytest.mark.parametrize("broken", ["many", None, float("nan"), float("inf"), []])
def test_an_event_without_a_number_is_skipped(broken: object) -> None:
    events = [value_outcome(1, broken, 1.0), value_outcome(1, 1.0, broken)]
    rows = join_outcomes(VALUES, events, [], ["carrier"])
    assert len(rows) == 0
    assert VALUES.detail(rows).tolist() == []


def test_the_number_of_labels_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LABELS", 2)
    assert len(join_outcomes(LABELS, [outcome(at, 0) for at in range(3)], [], [])) == 2


def test_the_rows_of_one_version_since_a_time_are_read_from_the_store(tmp_path: Path) -> None:
    now = datetime.now(UTC).timestamp()
    other = outcome(now - 40, 10)
    other["tidegate"]["model"]["name"] = "fraud"
    since = datetime.fromtimestamp(now - 50, UTC)
    third = make_task(replace(REGRESSOR, name="flights", version="v3"), Drift())
    with closing(EmbeddedStore(tmp_path / "store")) as store:
        store.append(
            [
                outcome(now - 100, 90),  # answered earlier, although its label arrived later
                outcome(now - 40, 10, trace=TRACE),
                outcome(now - 40, 10, version="v2"),
                other,
                value_outcome(now - 40, 1.0, 4.0, version="v3"),
                request_event(now - 40, TRACE, {"carrier": ["UA"]}),
            ]
        )
        rows = read_labelled_rows(store, LABELS, since, ["carrier"])
        plain = read_labelled_rows(store, LABELS, since, [])
        values = read_labelled_rows(store, third, since, [])
    assert rows.trace.tolist() == [TRACE]
    assert rows.segments["carrier"].tolist() == ["UA"]
    assert not plain.segments
    assert VALUES.detail(values).tolist() == [3.0]
