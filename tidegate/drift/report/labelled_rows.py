"""Rows with a known label, read from the store: outcome events joined with their request events."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

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
Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Columns of one length, one element for each labelled row, ordered by the time of the response.

    Attributes:
        answered: the time of the response, in seconds since 1970.
        predicted: the predicted label.
        actual: the true label.
        confidence: the probability of the predicted label; NaN if unknown.
        trace: the trace id of the request.
        row: the row's index in the request.
        segments: values of features, by the feature; `NO_SEGMENT` where unknown.
    """

    answered: npt.NDArray[np.float64]
    predicted: Texts
    actual: Texts
    confidence: npt.NDArray[np.float64]
    trace: Texts
    row: npt.NDArray[np.intp]
    segments: Mapping[str, Texts]

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether the prediction was correct."""
        correct: npt.NDArray[np.bool_] = self.predicted == self.actual
        return correct

    def __len__(self) -> int:
        return len(self.answered)


def read_labelled_rows(
    store: EventStore, model: str, version: str, since: datetime, segments: Sequence[str]
) -> LabelledRows:
    """The labelled rows that a version of a classifier has answered since a time.

    Args:
        store: the store of the events.
        model: the model's name.
        version: its version.
        since: labels of earlier responses are omitted, whenever the label arrived.
        segments: features whose values are read from the request events.

    Raises:
        StoreUnavailableError: the store cannot be queried now.
    """
    outcomes, requests = read_events(store, model, version, since, segments)
    return join_outcomes(outcomes, requests, segments, since.timestamp())


def read_events(
    store: EventStore, model: str, version: str, since: datetime, segments: Sequence[str]
) -> tuple[Iterable[Event], Iterable[Event]]:
    """The outcome events of a version of a model, and its request events if a segment is wanted.

    Raises:
        StoreUnavailableError: the store cannot be queried now.
    """
    of = f'tidegate.model.name:"{model}" AND tidegate.model.version:"{version}"'
    outcomes = Follower(store, f"event.dataset:tidegate.outcome AND {of}", since).events()
    if not segments:
        return outcomes, ()
    return outcomes, Follower(store, f"event.dataset:tidegate.request AND {of}", since).events()


def join_outcomes(
    outcomes: Iterable[Event],
    requests: Iterable[Event],
    segments: Sequence[str],
    since: float = 0.0,
) -> LabelledRows:
    """Outcome events as columns, with the segment values of their request events.

    If a prediction has two labels, which a store of several indices may hold, the first to arrive counts.
    Events that lack a field are skipped; so are those after the first `MAX_LABELS`.
    """
    rows = first_labels(outcomes, _labels, since)
    return LabelledRows(
        answered=np.array([row.answered for row in rows], np.float64),
        predicted=np.array([row.content[0] for row in rows], np.str_),
        actual=np.array([row.content[1] for row in rows], np.str_),
        confidence=np.array([row.content[2] for row in rows], np.float64),
        trace=np.array([row.trace for row in rows], np.str_),
        row=np.array([row.number for row in rows], np.intp),
        segments=segment_columns(rows, requests, segments),
    )


@dataclass(frozen=True, slots=True)
class LabelledRow(Generic[Content]):
    """A row with a known label; `span` is empty if the outcome event has none."""

    answered: float
    labelled_us: int
    content: Content
    trace: str
    span: str
    number: int


def first_labels(
    outcomes: Iterable[Event], read: Callable[[Event], Content], since: float
) -> list[LabelledRow[Content]]:
    """The first label of each prediction, ordered by the time of the response.

    Args:
        outcomes: outcome events; one that lacks a field is skipped.
        read: returns the content of an event; raises KeyError, TypeError or ValueError if it lacks a field.
        since: rows answered earlier are omitted, in seconds since 1970.
    """
    first: dict[str, LabelledRow[Content]] = {}
    for event in outcomes:
        row = _row(event, read)
        if row is None or row.answered < since:
            continue
        name = _text(event, "event.id")
        known = first.get(name)
        if known is None and len(first) == MAX_LABELS:
            break
        if known is None or row.labelled_us < known.labelled_us:
            first[name] = row
    return sorted(first.values(), key=lambda row: row.answered)


def segment_columns(
    rows: Sequence[LabelledRow[Any]], requests: Iterable[Event], segments: Sequence[str]
) -> dict[str, Texts]:
    """The values of each segment feature, one for each row."""
    found = _segment_values(requests, {row.trace for row in rows})
    return {
        name: np.array([_segment(_of(row, found), name, row.number) for row in rows], np.str_)
        for name in segments
    }


def _row(event: Event, read: Callable[[Event], Content]) -> LabelledRow[Content] | None:
    outcome = value_of(event, "tidegate.outcome")
    at = time_ranges.microseconds(_text(event, "@timestamp"))
    if not isinstance(outcome, dict) or at is None:
        return None
    try:
        return LabelledRow(
            answered=at / 1e6 - float(outcome["lag_seconds"]),
            labelled_us=at,
            content=read(event),
            trace=_text(event, "trace.id"),
            span=_text(event, "span.id"),
            number=int(outcome["row"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _labels(event: Event) -> tuple[str, str, float]:
    """The predicted and the actual label, and the confidence."""
    outcome: Any = value_of(event, "tidegate.outcome")
    # An application's own model may have none.
    confidence = float(outcome.get("confidence", math.nan))
    return str(outcome["predicted"]), str(outcome["actual"]), confidence


SegmentValues = Mapping[str, Mapping[str, object]]
"""`tidegate.segments` of request events, by trace and then by span: a trace may have several requests."""


def _segment_values(requests: Iterable[Event], traces: Set[str]) -> SegmentValues:
    found: dict[str, dict[str, object]] = {}
    for event in requests:
        if (trace := _text(event, "trace.id")) in traces:
            spans = found.setdefault(trace, {})
            spans[_text(event, "span.id")] = value_of(event, "tidegate.segments")
    return found


def _of(row: LabelledRow[Any], found: SegmentValues) -> object:
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
