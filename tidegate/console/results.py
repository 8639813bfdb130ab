"""What a search found, as the search page shows it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from tidegate.console.event_view import iso
from tidegate.console.search_request import SIZE, Wanted
from tidegate.events.event import Event
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
from tidegate.store.requests import has_terms
from tidegate.store.search import pages
from tidegate.store.search.histograms import filled, fitting_interval

FACET_VALUES: Final = 6
ERRORS: Final = "(log.level:error OR event.outcome:failure)"
_TIME: Final = "time"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there are no results; `place` is the query before, at and after what is wrong."""

    title: str
    text: str
    place: tuple[str, str, str] | None
    status: int


@dataclass(frozen=True, slots=True)
class Found:
    """A page of results.

    Attributes:
        total: of all matching events.
        errors: the number of those with an error.
        events: newest first.
        next: where the next page begins.
        interval: of the histogram.
        bars: of the histogram: the bounds of each interval in UTC, its events, and those with an error.
        facets: the most frequent values by the name of a field; None if they cannot be counted.
    """

    total: int
    errors: int
    events: Sequence[Event]
    next: pages.Cursor | None
    interval: str
    bars: list[tuple[str, str, int, int]]
    facets: dict[str, list[Bucket] | None]


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
        if has_terms(name)
    }
    all_of = replace(request, size=0, aggregations={**terms, **counts})
    failed = f"({wanted.q}) AND {ERRORS}" if wanted.q else ERRORS
    whole = store.search(all_of)
    errors = store.search(replace(request, query=failed, size=0, aggregations=counts))
    buckets, after = whole.aggregations.get(_TIME, []), pages.cursor(wanted.after)
    shown = pages.page(store, _narrowed(request, buckets, interval, after), after)
    starts = filled(buckets, since, until, interval)
    failures = dict(filled(errors.aggregations.get(_TIME, []), since, until, interval))
    return Found(
        total=whole.total,
        errors=errors.total,
        events=shown.events,
        next=shown.next,
        interval=_span(interval),
        bars=[(_iso(at), _iso(_end(at, interval)), n, failures[at]) for at, n in starts],
        facets={name: whole.aggregations.get(str(number)) for number, name in enumerate(names)},
    )


async def or_problem(reading: Awaitable[dict[str, Any]], query: str = "") -> dict[str, Any]:
    """Return what a page reads of the store for its template; if it cannot, `problem` and its `status`."""
    try:
        return {"problem": None, **await reading}
    except (ValueError, StoreUnavailableError) as error:
        problem = problem_of(error, query)
        return {"problem": problem, "status": problem.status}


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


def _iso(time: datetime) -> str:
    return iso(time).replace(".000Z", "Z")


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
