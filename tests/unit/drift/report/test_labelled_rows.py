"""Outcome events become rows with the segments of their request events."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from support.samples.drift_report import MakeEvent
from tidegate.drift.report import labelled_rows as module
from tidegate.drift.report.labelled_rows import join_outcomes, read_labelled_rows
from tidegate.store.embedded.store import EmbeddedStore

TRACE = "b" * 32


def test_rows_are_ordered_by_the_time_of_the_response(outcome: MakeEvent) -> None:
    rows = join_outcomes(
        [outcome(20, 1), outcome(10, 100, actual="on_time", confidence=0.7)], [], []
    )
    assert rows.answered.tolist() == [10, 20]
    assert rows.correct.tolist() == [False, True]
    assert rows.confidence.tolist() == [0.7, 0.9]
    assert len(rows) == 2


def test_each_row_has_its_segment_of_the_request_event(
    outcome: MakeEvent, request_event: MakeEvent
) -> None:
    request = request_event(1, TRACE, {"carrier": ["AA", None]})
    outcomes = [outcome(at, 1, trace=TRACE, row=at) for at in range(3)]
    rows = join_outcomes([*outcomes, outcome(3, 1)], [request], ["carrier", "origin"])
    assert rows.segments["carrier"].tolist() == ["AA", "", "", ""]
    assert rows.segments["origin"].tolist() == [""] * 4


def test_requests_of_one_trace_are_distinguished_by_their_spans(
    outcome: MakeEvent, request_event: MakeEvent
) -> None:
    spans = ("1" * 16, "2" * 16)
    requests = [
        request_event(at, TRACE, {"carrier": [carrier]}, span)
        for at, (carrier, span) in enumerate(zip(("AA", "UA"), spans, strict=True))
    ]
    outcomes = [
        outcome(at, 1, trace=TRACE, span=span) for at, span in enumerate((*spans, "3" * 16))
    ]
    rows = join_outcomes(outcomes, requests, ["carrier"])
    assert rows.segments["carrier"].tolist() == ["AA", "UA", ""]


def test_an_outcome_without_its_span_has_a_segment_only_if_its_trace_has_one_request(
    outcome: MakeEvent, request_event: MakeEvent
) -> None:
    other = "d" * 32
    requests = [
        request_event(1, TRACE, {"carrier": ["AA"]}, "1" * 16),
        request_event(2, TRACE, {"carrier": ["UA"]}, "2" * 16),
        request_event(3, other, {"carrier": ["DL"]}),
    ]
    rows = join_outcomes(
        [outcome(1, 1, trace=TRACE), outcome(3, 1, trace=other)], requests, ["carrier"]
    )
    assert rows.segments["carrier"].tolist() == ["", "DL"]


@pytest.mark.parametrize("reverse", [False, True])
def test_the_first_of_two_labels_with_one_id_counts(outcome: MakeEvent, *, reverse: bool) -> None:
    first, again = (
        outcome(10, lag, event_id="e" * 32, actual=actual)
        for lag, actual in ((5, "late"), (3600, "on_time"))
    )
    rows = join_outcomes([again, first] if reverse else [first, again], [], [])
    assert (rows.actual.tolist(), rows.answered.tolist()) == (["late"], [10])


def test_events_without_a_field_are_skipped(outcome: MakeEvent) -> None:
    broken = outcome(1, 1)
    del broken["tidegate"]["outcome"]["actual"]
    other = outcome(1, 1)
    other["tidegate"]["outcome"] = "late"
    rows = join_outcomes([broken, other, {"message": "no time"}], [], ["carrier"])
    assert len(rows) == 0
    assert rows.segments["carrier"].tolist() == []


def test_a_label_of_a_prediction_without_confidence_counts(outcome: MakeEvent) -> None:
    event = outcome(1, 1)
    del event["tidegate"]["outcome"]["confidence"]
    rows = join_outcomes([event], [], [])
    assert rows.actual.tolist() == ["late"]
    assert np.isnan(rows.confidence).all()


def test_the_number_of_labels_is_limited(
    outcome: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LABELS", 2)
    assert len(join_outcomes([outcome(at, 0) for at in range(3)], [], [])) == 2


def test_the_rows_of_one_version_since_a_time_are_read_from_the_store(
    outcome: MakeEvent, request_event: MakeEvent, tmp_path: Path
) -> None:
    now = datetime.now(UTC).timestamp()
    store = EmbeddedStore(tmp_path / "store")
    store.append(
        [
            outcome(now - 100, 90),  # answered earlier, although its label arrived later
            outcome(now - 40, 10, trace=TRACE),
            outcome(now - 40, 10, version="v2"),
            request_event(now - 40, TRACE, {"carrier": ["UA"]}),
        ]
    )
    since = datetime.fromtimestamp(now - 50, UTC)
    rows = read_labelled_rows(store, "flights", "v1", since, ["carrier"])
    plain = read_labelled_rows(store, "flights", "v1", since, [])
    store.close()
    assert rows.trace.tolist() == [TRACE]
    assert rows.segments["carrier"].tolist() == ["UA"]
    assert not plain.segments
