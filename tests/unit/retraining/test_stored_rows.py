"""Rows as events: cut into parts, found again by their labels, whatever else is in the store."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidegate.drift.feedback.prediction_ids import PredictionIds
from tidegate.drift.feedback.retained_rows import EVENT_ROWS, outcome_id, row_events
from tidegate.retraining.stored_rows import join

IDS = PredictionIds(b"a key of enough bytes", "v1", b"1234")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def written(count: int, *, model: str = "flights") -> tuple[list[dict[str, Any]], list[str]]:
    """Events of a request of so many rows, and their prediction ids."""
    made = IDS.make(1_700_000_000_000_000, (TRACE, "0" * 16), [0] * count, [0.75] * count)
    values = [[number, "UA", None] for number in range(count)]
    events = [
        {"@timestamp": "2026-03-01T10:00:00.000001Z", "message": sentence, **fields}
        for sentence, fields in row_events(
            ["hour", "carrier", "temp"], values, made, trace_id=TRACE, model=model, version="v1"
        )
    ]
    return events, made


def label(prediction_id: str, actual: str, model: str = "flights") -> dict[str, Any]:
    return {
        "event": {"id": IDS.read(prediction_id).outcome_id},
        "tidegate": {"model": {"name": model}, "outcome": {"actual": actual}},
    }


def test_the_id_of_an_outcome_is_known_without_the_key() -> None:
    _, made = written(3)
    assert [outcome_id(one) for one in made] == [IDS.read(one).outcome_id for one in made]


@given(count=st.integers(1, 3 * EVENT_ROWS), data=st.data())
def test_each_row_finds_its_label_and_no_other(count: int, data: st.DataObject) -> None:
    events, made = written(count)
    assert all(event["tidegate"]["rows"] <= EVENT_ROWS for event in events)
    labelled = data.draw(st.sets(st.integers(0, count - 1)))
    found = join(events, [label(made[number], str(number)) for number in labelled], "flights")
    assert (found.rows, found.labels) == (count, len(labelled))
    assert sorted((one.label, one.row["hour"]) for one in found.kept) == sorted(
        (str(number), number) for number in labelled
    )


def test_a_row_that_was_delivered_twice_counts_once() -> None:
    events, made = written(2)
    found = join([*events, *events], [label(made[0], "late")], "flights")
    assert (found.rows, len(found.kept)) == (2, 1)
    assert found.kept[0].row == {"hour": 0, "carrier": "UA", "temp": None}
    assert found.kept[0].at_us == 1_772_359_200_000_001


def test_of_two_labels_of_a_row_the_first_counts() -> None:
    events, made = written(1)
    found = join(events, [label(made[0], "late"), label(made[0], "on_time")], "flights")
    assert (found.labels, [one.label for one in found.kept]) == (1, ["late"])


def test_what_is_of_another_model_or_of_another_shape_is_passed_over() -> None:
    events, made = written(2)
    other, _ = written(2, model="wine")
    torn: list[dict[str, Any]] = [
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
    labels = [label(made[0], "late"), label(made[1], "late", "wine")]
    found = join([*other, *torn, *events], labels, "flights")
    assert (found.rows, found.labels, len(found.kept)) == (2, 1, 1)
