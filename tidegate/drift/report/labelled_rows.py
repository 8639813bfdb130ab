"""Rows whose label is known, read from the store: outcomes, and the requests that they are about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tidegate.events.event import Event
from tidegate.store.base import EventStore
from tidegate.store.query import time_ranges
from tidegate.store.search.event_lines import value_of
from tidegate.store.search.follower import Follower

MOST: Final = 500_000
"""Outcomes of one report: more would not fit in a page's patience."""
NO_SEGMENT: Final = ""

Texts = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Columns of one length, a labelled row each, ordered by when they were answered.

    Attributes:
        answered: when, in seconds since 1970.
        predicted: the label given.
        actual: the true one.
        confidence: the probability of the label given.
        trace: the trace id of its request.
        row: its place in the request.
        segments: values of named features; `NO_SEGMENT` where none is known.
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
        """Whether the label given was right."""
        right: npt.NDArray[np.bool_] = self.predicted == self.actual
        return right

    def __len__(self) -> int:
        return len(self.answered)


def read_labelled(
    store: EventStore, version: str, since: datetime, segments: Sequence[str]
) -> Labelled:
    """The labelled rows of a version of the model that were answered since a moment.

    Args:
        store: where outcomes are.
        version: of the model.
        since: labels of earlier answers are left out, whenever they arrived.
        segments: features whose values are looked for in the requests' events.

    Raises:
        StoreUnavailableError: the store cannot be asked now.
    """
    of = f'tidegate.model.version:"{version}"'
    outcomes = Follower(store, f"event.dataset:tidegate.outcome AND {of}", since).events()
    requests: Iterable[Event] = ()
    if segments:
        query = f"event.dataset:tidegate.request AND {of}"
        requests = Follower(store, query, since).events()
    return labelled(outcomes, requests, segments, since.timestamp())


def labelled(
    outcomes: Iterable[Event],
    requests: Iterable[Event],
    segments: Sequence[str],
    since: float = 0.0,
) -> Labelled:
    """Outcome events as columns, with the values that the requests' events carry.

    Of two labels of one prediction, which a store of several indices may hold, the first to come counts.
    Events that lack a field are passed over; beyond `MOST`, so are further ones.
    """
    first: dict[str, _Row] = {}
    for event in outcomes:
        row = _row(event)
        if row is None or row.answered < since:
            continue
        name = _text(event, "event.id")
        known = first.get(name)
        if known is None and len(first) == MOST:
            break
        if known is None or row.labelled_us < known.labelled_us:
            first[name] = row
    rows = sorted(first.values(), key=lambda row: row.answered)
    carried = _carried(requests, {row.trace for row in rows})
    return Labelled(
        answered=np.array([row.answered for row in rows], np.float64),
        predicted=np.array([row.predicted for row in rows], np.str_),
        actual=np.array([row.actual for row in rows], np.str_),
        confidence=np.array([row.confidence for row in rows], np.float64),
        trace=np.array([row.trace for row in rows], np.str_),
        row=np.array([row.number for row in rows], np.intp),
        segments={
            name: np.array([_segment(_of(row, carried), name, row.number) for row in rows], np.str_)
            for name in segments
        },
    )


class _Row(NamedTuple):
    """A row whose label is known; `span` is empty where the outcome's event does not tell it."""

    answered: float
    labelled_us: int
    predicted: str
    actual: str
    confidence: float
    trace: str
    span: str
    number: int


def _row(event: Event) -> _Row | None:
    told = value_of(event, "tidegate.outcome")
    at = time_ranges.microseconds(_text(event, "@timestamp"))
    if not isinstance(told, dict) or at is None:
        return None
    try:
        return _Row(
            answered=at / 1e6 - float(told["lag_seconds"]),
            labelled_us=at,
            predicted=str(told["predicted"]),
            actual=str(told["actual"]),
            confidence=float(told["confidence"]),
            trace=_text(event, "trace.id"),
            span=_text(event, "span.id"),
            number=int(told["row"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


Carried = Mapping[str, Mapping[str, object]]
"""What requests' events carry, by trace and then by span: clients may send many requests in one trace."""


def _carried(requests: Iterable[Event], traces: Set[str]) -> Carried:
    carried: dict[str, dict[str, object]] = {}
    for event in requests:
        if (trace := _text(event, "trace.id")) in traces:
            of = carried.setdefault(trace, {})
            of[_text(event, "span.id")] = value_of(event, "tidegate.segments")
    return carried


def _of(row: _Row, carried: Carried) -> object:
    """What the row's own request carries; None where it cannot be told from others of its trace."""
    requests = carried.get(row.trace, {})
    if row.span:
        return requests.get(row.span)
    return next(iter(requests.values())) if len(requests) == 1 else None


def _segment(carried: object, name: str, row: int) -> str:
    values = carried.get(name) if isinstance(carried, dict) else None
    if not isinstance(values, list) or row >= len(values) or values[row] is None:
        return NO_SEGMENT
    return str(values[row])


def _text(event: Event, path: str) -> str:
    return str(value_of(event, path) or "")
