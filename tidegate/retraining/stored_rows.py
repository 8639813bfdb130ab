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
class Kept:
    """A row with its true label; `at_us` is the time of the response, in microseconds since 1970."""

    at_us: int
    row: Mapping[str, Any]
    label: str


@dataclass(frozen=True, slots=True)
class Found:
    """Rows and labels found in the events.

    Attributes:
        kept: rows with a label.
        rows: all rows of the model.
        labels: all its labels.
    """

    kept: list[Kept]
    rows: int
    labels: int


def join(rows: Iterable[Event], outcomes: Iterable[Event], model: str) -> Found:
    """Join rows and labels of a model, across its versions.

    If two labels have one id, which several backing indices make possible, the first one counts.
    """
    truth: dict[str, str] = {}
    for event in outcomes:
        if _model(event) != model:
            continue
        if (actual := event["tidegate"].get("outcome", {}).get("actual")) is not None:
            truth.setdefault(event["event"]["id"], str(actual))
    kept: list[Kept] = []
    seen: set[str] = set()
    for event in rows:
        if _model(event) != model:
            continue
        at_us = time_ranges.microseconds(event["@timestamp"]) or 0
        for name, row in _rows(event):
            if name not in seen and name in truth:
                kept.append(Kept(at_us, row, truth[name]))
            seen.add(name)
    return Found(kept, len(seen), len(truth))


def _model(event: Event) -> str:
    try:
        return str(event["tidegate"]["model"]["name"])
    except (KeyError, TypeError):
        return ""


def _rows(event: Event) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        held = event["tidegate"]["features"]
        names, rows, ids = held["names"], held["rows"], held["outcome_ids"]
        pairs = [
            (str(name), dict(zip(names, row, strict=True)))
            for name, row in zip(ids, rows, strict=True)
        ]
    except (KeyError, TypeError, ValueError):
        return  # an event that is not ours
    yield from pairs
