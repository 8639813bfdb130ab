"""Rows as events, and their join with labels."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidegate.monitoring.feedback.prediction_ids import PredictionIds, outcome_id
from tidegate.monitoring.feedback.retained_rows import EVENT_ROWS, row_events
from tidegate.monitoring.retraining.stored_rows import join

IDS = PredictionIds(b"a key of enough bytes", "v1", b"1234")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def events_of(count: int, *, model: str = "flights") -> tuple[list[dict[str, Any]], list[str]]:
    """The events of a request with `count` rows, and its prediction ids."""
    prediction_ids = IDS.make(
        1_700_000_000_000_000, (TRACE, "0" * 16), ["0"] * count, [0.75] * count
    )
    values = [[number, "UA", None] for number in range(count)]
    events = [
        {"@timestamp": "2026-03-01T10:00:00.000001Z", "message": message, **fields}
        for message, fields in row_events(
            ["hour", "carrier", "temp"],
            values,
            prediction_ids,
            trace_id=TRACE,
            model=model,
            version="v1",
        )
    ]
    return events, prediction_ids


def label(prediction_id: str, actual: str, model: str = "flights") -> dict[str, Any]:
    return {
        "event": {"id": IDS.read(prediction_id).outcome_id},
        "tidegate": {"model": {"name": model}, "outcome": {"actual": actual}},
    }


def test_the_id_of_an_outcome_can_be_computed_without_the_key() -> None:
    _, prediction_ids = events_of(3)
    assert [outcome_id(each) for each in prediction_ids] == [
        IDS.read(each).outcome_id for each in prediction_ids
    ]


@given(count=st.integers(1, 3 * EVENT_ROWS), data=st.data())
def test_each_row_is_joined_with_its_own_label(count: int, data: st.DataObject) -> None:
    events, prediction_ids = events_of(count)
    assert all(event["tidegate"]["rows"] <= EVENT_ROWS for event in events)
    labelled = data.draw(st.sets(st.integers(0, count - 1)))
    found = join(
        events, [label(prediction_ids[number], str(number)) for number in labelled], "flights"
    )
    assert (found.row_count, found.label_count) == (count, len(labelled))
    assert sorted((row.label, row.values["hour"]) for row in found.labelled) == sorted(
        (str(number), number) for number in labelled
    )


def test_a_row_that_is_delivered_twice_counts_once() -> None:
    events, prediction_ids = events_of(2)
    found = join([*events, *events], [label(prediction_ids[0], "late")], "flights")
    assert (found.row_count, len(found.labelled)) == (2, 1)
    assert found.labelled[0].values == {"hour": 0, "carrier": "UA", "temp": None}
    assert found.labelled[0].at_us == 1_772_359_200_000_001


def test_of_two_labels_of_a_row_the_first_counts() -> None:
    events, prediction_ids = events_of(1)
    found = join(
        events, [label(prediction_ids[0], "late"), label(prediction_ids[0], "on_time")], "flights"
    )
    assert (found.label_count, [row.label for row in found.labelled]) == (1, ["late"])


def test_events_of_another_model_and_malformed_events_are_ignored() -> None:
    events, prediction_ids = events_of(2)
    other, _ = events_of(2, model="wine")
    malformed: list[dict[str, Any]] = [
        {"@timestamp": "2026-03-01T10:00:00Z", "tidegate": {"model": {"name": "flights"}}},
        {
            "@timestamp": "2026-03-01T10:00:00Z",
            "tidegate": {
                "model": {"name": "flights"},
                "features": {"names": ["a"], "rows": [[1, 2]], "outcome_ids": ["x"]},
            },
        },
        {"@timestamp": "2026-03-01T10:00:00Z", "tidegate": "odd"},
    ]
    labels = [label(prediction_ids[0], "late"), label(prediction_ids[1], "late", "wine")]
    found = join([*other, *malformed, *events], labels, "flights")
    assert (found.row_count, found.label_count, len(found.labelled)) == (2, 1, 1)
