"""Request rows and their labels, joined from stored events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tidegate.events.event import Event
from tidegate.store.query import time_ranges

ROWS_QUERY: Final = "event.dataset:tidegate.rows"
OUTCOMES_QUERY: Final = "event.dataset:tidegate.outcome"


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row with its true label; `at_us` is the time of the response, in microseconds since 1970."""

    at_us: int
    values: Mapping[str, Any]
    label: str


@dataclass(frozen=True, slots=True)
class JoinedRows:
    """The rows of a model in the events, joined with their labels."""

    labelled: list[StoredRow]
    """The rows with a label."""
    row_count: int
    """The number of rows, with and without a label."""
    label_count: int


def join(rows: Iterable[Event], outcomes: Iterable[Event], model: str) -> JoinedRows:
    """Join the rows and labels of a model, of all its versions.

    If two labels have the same id, which is possible across backing indices, the first one counts.
    """
    truth: dict[str, str] = {}
    for event in outcomes:
        if _model(event) != model:
            continue
        if (actual := event["tidegate"].get("outcome", {}).get("actual")) is not None:
            truth.setdefault(event["event"]["id"], str(actual))
    labelled: list[StoredRow] = []
    seen: set[str] = set()
    for event in rows:
        if _model(event) != model:
            continue
        at_us = time_ranges.microseconds(event["@timestamp"]) or 0
        for outcome_id, values in _rows(event):
            if outcome_id not in seen and outcome_id in truth:
                labelled.append(StoredRow(at_us, values, truth[outcome_id]))
            seen.add(outcome_id)
    return JoinedRows(labelled, len(seen), len(truth))


def _model(event: Event) -> str:
    try:
        return str(event["tidegate"]["model"]["name"])
    except (KeyError, TypeError):
        return ""


def _rows(event: Event) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        features = event["tidegate"]["features"]
        names, rows, ids = features["names"], features["rows"], features["outcome_ids"]
        pairs = [
            (str(outcome_id), dict(zip(names, row, strict=True)))
            for outcome_id, row in zip(ids, rows, strict=True)
        ]
    except (KeyError, TypeError, ValueError):
        return  # an event of another application
    yield from pairs
