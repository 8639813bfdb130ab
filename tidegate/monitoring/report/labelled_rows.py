"""Rows with a known label, read from the store: outcome events joined with their request events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np

from tidegate.events.event import Event
from tidegate.monitoring.tasks.labelled_rows import NO_SEGMENT, LabelledRows
from tidegate.monitoring.tasks.task import Task
from tidegate.store.base import EventStore
from tidegate.store.query import time_ranges
from tidegate.store.search.event_lines import value_of
from tidegate.store.search.follower import Follower

MAX_LABELS: Final = 500_000
"""Outcomes in one report: more would take too long to read."""


def read_labelled_rows(
    store: EventStore, task: Task, since: datetime, segments: Sequence[str]
) -> LabelledRows:
    """The labelled rows that a version of a model has answered since a time, whenever their labels arrived.

    The values of the features in `segments` are read from the request events.

    Raises:
        StoreUnavailableError: the store cannot be queried now.
    """
    model = task.model
    of = f'tidegate.model.name:"{model.name}" AND tidegate.model.version:"{model.version}"'
    outcomes = Follower(store, f"event.dataset:tidegate.outcome AND {of}", since).events()
    requests: Iterable[Event] = ()
    if segments:
        requests = Follower(store, f"event.dataset:tidegate.request AND {of}", since).events()
    return join_outcomes(task, outcomes, requests, segments, since.timestamp())


def join_outcomes(
    task: Task,
    outcomes: Iterable[Event],
    requests: Iterable[Event],
    segments: Sequence[str],
    since: float = 0.0,
) -> LabelledRows:
    """Outcome events as columns, with the segment values of their request events.

    If a prediction has two labels, which a store of several indices may hold, the first to arrive counts.
    Events that lack a field are skipped; so are rows answered before `since`, in seconds since 1970, and
    events after the first `MAX_LABELS`.
    """
    rows = _first_labels(task, outcomes, since)
    found = _segment_values(requests, {row.trace for row in rows})
    return LabelledRows(
        answered=np.array([row.answered for row in rows], np.float64),
        predicted=np.array([row.predicted for row in rows], task.dtype),
        actual=np.array([row.actual for row in rows], task.dtype),
        trace=np.array([row.trace for row in rows], np.str_),
        row=np.array([row.number for row in rows], np.intp),
        known={
            name: np.array([row.known[at] for row in rows], np.float64)
            for at, name in enumerate(task.known)
        },
        segments={
            name: np.array([_segment(_of(row, found), name, row.number) for row in rows], np.str_)
            for name in segments
        },
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """One element of each column; `span` is empty if the outcome event has none."""

    answered: float
    labelled_us: int
    predicted: Any
    actual: Any
    known: tuple[float, ...]
    trace: str
    span: str
    number: int


def _first_labels(task: Task, outcomes: Iterable[Event], since: float) -> list[_Row]:
    """The first label of each prediction, ordered by the time of the response."""
    first: dict[str, _Row] = {}
    for event in outcomes:
        row = _row(task, event)
        if row is None or row.answered < since:
            continue
        name = _text(event, "event.id")
        known = first.get(name)
        if known is None and len(first) == MAX_LABELS:
            break
        if known is None or row.labelled_us < known.labelled_us:
            first[name] = row
    return sorted(first.values(), key=lambda row: row.answered)


def _row(task: Task, event: Event) -> _Row | None:
    outcome = value_of(event, "tidegate.outcome")
    at = time_ranges.microseconds(_text(event, "@timestamp"))
    if not isinstance(outcome, dict) or at is None:
        return None
    try:
        predicted, actual, known = task.row(outcome)
        return _Row(
            answered=at / 1e6 - float(outcome["lag_seconds"]),
            labelled_us=at,
            predicted=predicted,
            actual=actual,
            known=known,
            trace=_text(event, "trace.id"),
            span=_text(event, "span.id"),
            number=int(outcome["row"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


SegmentValues = Mapping[str, Mapping[str, object]]
"""`tidegate.segments` of request events, by trace and then by span: a trace may have several requests."""


def _segment_values(requests: Iterable[Event], traces: Set[str]) -> SegmentValues:
    found: dict[str, dict[str, object]] = {}
    for event in requests:
        if (trace := _text(event, "trace.id")) in traces:
            spans = found.setdefault(trace, {})
            spans[_text(event, "span.id")] = value_of(event, "tidegate.segments")
    return found


def _of(row: _Row, found: SegmentValues) -> object:
    """The values of the row's request; None if it cannot be distinguished from others of its trace."""
    requests = found.get(row.trace, {})
    if row.span:
        return requests.get(row.span)
    return next(iter(requests.values())) if len(requests) == 1 else None


def _segment(segments: object, name: str, row: int) -> str:
    values = segments.get(name) if isinstance(segments, dict) else None
    if not isinstance(values, list) or row >= len(values) or values[row] is None:
        return NO_SEGMENT
    return str(values[row])


def _text(event: Event, path: str) -> str:
    return str(value_of(event, path) or "")
