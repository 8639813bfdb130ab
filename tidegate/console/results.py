"""What a search found, as the search page shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tidegate.console.event_view import Line, iso, line
from tidegate.console.search_request import FACETS, SIZE, Wanted
from tidegate.store.base import (
    Bucket,
    DateHistogram,
    EventStore,
    QueryError,
    SearchRequest,
    StoreUnavailableError,
    Terms,
)
from tidegate.store.query import time_ranges
from tidegate.store.query.literals import condition
from tidegate.store.requests import check
from tidegate.store.search import pages
from tidegate.store.search.histograms import filled, fitting_interval

FACET_VALUES: Final = 6
ERRORS: Final = "(log.level:error OR event.outcome:failure)"
_TIME: Final = "time"


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval of the histogram: its bounds in UTC, and its events."""

    start: str
    end: str
    count: int
    errors: int
    url: str


@dataclass(frozen=True, slots=True)
class Facet:
    """The most frequent values of a field: text, count, and the addresses that require or exclude it."""

    name: str
    values: list[tuple[str, int, str, str]]
    without_url: str
    countable: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there are no results; `place` is the query before, at and after what is wrong."""

    title: str
    text: str
    place: tuple[str, str, str] | None
    status: int


@dataclass(frozen=True, slots=True)
class Found:
    """A page of results."""

    total: int
    errors: int
    lines: list[Line]
    next_url: str
    interval: str
    bars: list[Bar]
    facets: list[Facet]


def find(store: EventStore, wanted: Wanted, now: datetime, *, facets: bool = True) -> Found:
    """Return a page of results with its histogram.

    Args:
        store: The store to search.
        wanted: What the address says.
        now: The current time.
        facets: Whether to count values of fields, too.

    Raises:
        QueryError: The query is invalid.
        ValueError: A time is invalid.
        StoreUnavailableError: The store cannot be searched now.
    """
    request = wanted.request(now, SIZE)
    since, until = request.since or now, request.until or now
    interval = fitting_interval(since, until)
    names = [name for name in wanted.facets if facets]
    counts = {_TIME: DateHistogram(interval)}
    # By number: the histogram is no facet, whatever a field is called.
    terms = {
        str(number): Terms(name, FACET_VALUES)
        for number, name in enumerate(names)
        if _can_be_counted(name)
    }
    all_of = replace(request, size=0, aggregations={**terms, **counts})
    failed = f"({wanted.q}) AND {ERRORS}" if wanted.q else ERRORS
    whole = store.search(all_of)
    errors = store.search(replace(request, query=failed, size=0, aggregations=counts))
    buckets, after = whole.aggregations.get(_TIME, []), pages.cursor(wanted.after)
    shown = pages.page(store, _narrowed(request, buckets, interval, after), after)
    return Found(
        total=whole.total,
        errors=errors.total,
        lines=[line(event, wanted.columns) for event in shown.events],
        next_url=wanted.url(after=str(shown.next), live="") if shown.next else "",
        interval=_span(interval),
        bars=_bars(
            buckets,
            errors.aggregations.get(_TIME, []),
            since,
            until,
            wanted,
        ),
        facets=[
            _facet(name, whole.aggregations.get(str(number)), wanted)
            for number, name in enumerate(names)
        ],
    )


def problem_of(error: ValueError | StoreUnavailableError, query: str = "") -> Problem:
    """Return what to show in place of results."""
    if isinstance(error, StoreUnavailableError):
        return Problem("The event store cannot be searched", str(error), None, 503)
    if isinstance(error, QueryError):
        place = _place(error, query)
        text = error.reason if place else str(error)
        return Problem("The query is not valid", text, place, 400)
    return Problem("The address is not valid", str(error), None, 400)


def _place(error: QueryError, query: str) -> tuple[str, str, str] | None:
    """Return the query before, at and after what is wrong; None if the error does not say where."""
    if error.position is not None:
        at = error.position
        return query[:at], query[at : at + 1], query[at + 1 :]
    # An invalid value: `event.duration is a long field: 'x' is not a number`.
    for found in re.finditer(r"'([^']+)'|^(\S+) is a ", str(error)):
        before, part, after = query.partition(found[1] or found[2])
        if part:
            return before, part, after
    return None


def _narrowed(
    request: SearchRequest,
    buckets: Sequence[Bucket],
    interval: timedelta,
    after: pages.Cursor | None,
) -> SearchRequest:
    """Return the request for the last intervals that have more events than a page.

    To sort the events of a long time range takes longer than to count them: 200 ms for 10 million.
    """
    until = time_ranges.to_datetime(after.milliseconds * 1000) if after else None
    events = 0
    for bucket in reversed(buckets):
        start = bucket.key
        if not isinstance(start, datetime) or (until and _end(start, interval) > until):
            continue
        events += bucket.count
        if events > request.size:
            return replace(request, since=max(start, request.since or start))
    return request


def _can_be_counted(name: str) -> bool:
    """Whether the values of a field can be counted: not those of a text or a date."""
    try:
        check(SearchRequest(size=0, aggregations={name: Terms(name)}))
    except QueryError:
        return False
    return True


def _facet(name: str, found: list[Bucket] | None, wanted: Wanted) -> Facet:
    values = []
    for bucket in found or ():
        text = str(bucket.key).lower() if isinstance(bucket.key, bool) else str(bucket.key)
        one = condition(name, text)
        values.append(
            (text, bucket.count, wanted.with_condition(one), wanted.with_condition(one, "NOT "))
        )
    others = tuple(one for one in wanted.facets if one != name)
    return Facet(name, values, wanted.url(facets=others or FACETS), countable=found is not None)


def _bars(
    found: list[Bucket], failed: list[Bucket], since: datetime, until: datetime, wanted: Wanted
) -> list[Bar]:
    interval = fitting_interval(since, until)
    counts = filled(found, since, until, interval)
    errors = dict(filled(failed, since, until, interval))
    bars = []
    for at, count in counts:
        start, end = (
            iso(time_ranges.to_microseconds(time)).replace(".000Z", "Z")
            for time in (at, _end(at, interval))
        )
        url = wanted.url(since=start, until=end, live="")
        bars.append(Bar(start, end, count, errors[at], url))
    return bars


def _end(start: datetime, interval: timedelta) -> datetime:
    """Return the end of an interval, at most the year 9999."""
    length = interval // timedelta(microseconds=1)
    return time_ranges.to_datetime(time_ranges.to_microseconds(start) + length)


def _span(interval: timedelta) -> str:
    """Return an interval for a person."""
    seconds = interval.total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1000:.0f} ms"
