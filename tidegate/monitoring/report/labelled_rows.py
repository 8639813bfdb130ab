"""Rows with a known label, read from the store: outcome events joined with their request events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.events.event import Event
from tidegate.store.base import EventStore
from tidegate.store.query import time_ranges
from tidegate.store.search.event_lines import value_of
from tidegate.store.search.follower import Follower

MAX_LABELS: Final = 500_000
"""Outcomes in one report: more would take too long to read."""
NO_SEGMENT: Final = ""

Texts = npt.NDArray[np.str_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Columns of one length, one element for each labelled row, ordered by the time of the response.

    Attributes:
        answered: the time of the response, in seconds since 1970.
        predicted: the predicted labels, or the predicted values of a regressor.
        actual: the true labels or values.
        confidence: the probability of the predicted label; NaN if unknown.
        inside: 1 if the actual value is inside the predicted interval, else 0; NaN if there was none.
        trace: the trace id of the request.
        row: the row's index in the request.
        segments: values of features, by the feature; `NO_SEGMENT` where unknown.
    """

    answered: Floats
    predicted: npt.NDArray[Any]
    actual: npt.NDArray[Any]
    confidence: Floats
    inside: Floats
    trace: Texts
    row: npt.NDArray[np.intp]
    segments: Mapping[str, Texts]

    def __len__(self) -> int:
        return len(self.answered)

    def where(self, picked: npt.NDArray[np.bool_]) -> LabelledRows:
        """Some of the rows."""
        columns = {
            each.name: getattr(self, each.name)[picked]
            for each in fields(self)
            if each.name != "segments"
        }
        segments = {name: values[picked] for name, values in self.segments.items()}
        return LabelledRows(**columns, segments=segments)


def read_labelled_rows(
    store: EventStore,
    model: str,
    version: str,
    since: datetime,
    segments: Sequence[str],
    *,
    numbers: bool = False,
) -> LabelledRows:
    """The labelled rows that a version of a model has answered since a time.

    Args:
        store: the store of the events.
        model: the model's name.
        version: its version.
        since: labels of earlier responses are omitted, whenever the label arrived.
        segments: features whose values are read from the request events.
        numbers: whether it is a regressor.

    Raises:
        StoreUnavailableError: the store cannot be queried now.
    """
    of = f'tidegate.model.name:"{model}" AND tidegate.model.version:"{version}"'
    outcomes = Follower(store, f"event.dataset:tidegate.outcome AND {of}", since).events()
    requests: Iterable[Event] = ()
    if segments:
        requests = Follower(store, f"event.dataset:tidegate.request AND {of}", since).events()
    return join_outcomes(outcomes, requests, segments, since.timestamp(), numbers=numbers)


def join_outcomes(
    outcomes: Iterable[Event],
    requests: Iterable[Event],
    segments: Sequence[str],
    since: float = 0.0,
    *,
    numbers: bool = False,
) -> LabelledRows:
    """Outcome events as columns, with the segment values of their request events.

    If a prediction has two labels, which a store of several indices may hold, the first to arrive counts.
    Events that lack a field are skipped; so are rows answered before `since`, in seconds since 1970, and
    events after the first `MAX_LABELS`.
    """
    rows = _first_labels(outcomes, since, numbers=numbers)
    found = _segment_values(requests, {row.trace for row in rows})
    kind: type[np.generic] = np.float64 if numbers else np.str_
    return LabelledRows(
        answered=np.array([row.answered for row in rows], np.float64),
        predicted=np.array([row.predicted for row in rows], kind),
        actual=np.array([row.actual for row in rows], kind),
        confidence=np.array([row.confidence for row in rows], np.float64),
        inside=np.array([row.inside for row in rows], np.float64),
        trace=np.array([row.trace for row in rows], np.str_),
        row=np.array([row.number for row in rows], np.intp),
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
    predicted: str | float
    actual: str | float
    confidence: float
    inside: float
    trace: str
    span: str
    number: int


def _first_labels(outcomes: Iterable[Event], since: float, *, numbers: bool) -> list[_Row]:
    """The first label of each prediction, ordered by the time of the response."""
    first: dict[str, _Row] = {}
    for event in outcomes:
        row = _row(event, numbers=numbers)
        if row is None or row.answered < since:
            continue
        name = _text(event, "event.id")
        known = first.get(name)
        if known is None and len(first) == MAX_LABELS:
            break
        if known is None or row.labelled_us < known.labelled_us:
            first[name] = row
    return sorted(first.values(), key=lambda row: row.answered)


def _row(event: Event, *, numbers: bool) -> _Row | None:
    outcome = value_of(event, "tidegate.outcome")
    at = time_ranges.microseconds(_text(event, "@timestamp"))
    if not isinstance(outcome, dict) or at is None:
        return None
    try:
        return _Row(
            answered=at / 1e6 - float(outcome["lag_seconds"]),
            labelled_us=at,
            predicted=_finite(outcome["predicted_value"]) if numbers else str(outcome["predicted"]),
            actual=_finite(outcome["actual_value"]) if numbers else str(outcome["actual"]),
            # An application's own model may have none, as a regressor may have no interval.
            confidence=float(outcome.get("confidence", math.nan)),
            inside=math.nan if outcome.get("inside") is None else float(bool(outcome["inside"])),
            trace=_text(event, "trace.id"),
            span=_text(event, "span.id"),
            number=int(outcome["row"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _finite(value: Any) -> float:
    if not math.isfinite(number := float(value)):
        raise ValueError("a value is not finite")
    return number


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
