"""What a person sees of a search: a page of events, their number over time, and frequent values of fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from tidegate.events.event import Event
from tidegate.store.base import Bucket, DateHistogram, EventStore, SearchRequest, Terms
from tidegate.store.query import time_ranges
from tidegate.store.requests import has_terms
from tidegate.store.search import pages

# At most so many intervals: each is a few pixels wide.
INTERVALS: Final = 90
_MICROSECOND: Final = timedelta(microseconds=1)
# What a person reads easily; the last one is multiplied for longer ranges.
_STEPS: Final = (
    *(timedelta(milliseconds=n) for n in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(timedelta(seconds=n) for n in (1, 2, 5, 10, 15, 30)),
    *(timedelta(minutes=n) for n in (1, 2, 5, 10, 15, 30)),
    *(timedelta(hours=n) for n in (1, 2, 3, 6, 12)),
    *(timedelta(days=n) for n in (1, 7, 30)),
)
FACET_VALUES: Final = 6
ERRORS: Final = "(log.level:error OR event.outcome:failure)"
_TIME: Final = "time"


def fitting_interval(since: datetime, until: datetime) -> timedelta:
    """Return the shortest usual interval of which at most `INTERVALS` cover a time range."""
    wanted = max(timedelta(), until - since) / INTERVALS
    return next(
        (step for step in _STEPS if step >= wanted), _STEPS[-1] * (wanted // _STEPS[-1] + 1)
    )


def filled(
    buckets: Sequence[Bucket], since: datetime, until: datetime, interval: timedelta
) -> list[tuple[datetime, int]]:
    """Return the start and the count of each interval of a time range, also before and after all events."""
    step = interval // _MICROSECOND
    first, end = (time_ranges.to_microseconds(time) for time in (since, until))
    counts = {
        time_ranges.to_microseconds(bucket.key): bucket.count
        for bucket in buckets
        if isinstance(bucket.key, datetime)
    }
    starts = range(first // step * step, end, step)
    return [(time_ranges.to_datetime(start), counts.get(start, 0)) for start in starts]


@dataclass(frozen=True, slots=True)
class Found:
    """A page of results.

    Attributes:
        total: of all matching events.
        errors: the number of those with an error.
        events: newest first.
        next: where the next page begins.
        interval: of the histogram.
        bars: of the histogram: the start of each interval, its events, and those of them with an error.
        facets: the most frequent values by the name of a field; None if they cannot be counted.
    """

    total: int
    errors: int
    events: Sequence[Event]
    next: pages.Cursor | None
    interval: timedelta
    bars: Sequence[tuple[datetime, int, int]]
    facets: Mapping[str, Sequence[Bucket] | None]


def browse(
    store: EventStore,
    request: SearchRequest,
    facets: Sequence[str] = (),
    after: pages.Cursor | None = None,
) -> Found:
    """Return the page of results after an event, or the first one, with its histogram.

    Without bounds of the time the histogram has no interval.

    Raises:
        QueryError: The query is invalid.
        StoreUnavailableError: The store cannot be searched now.
    """
    now = datetime.now(UTC)
    since, until = request.since or now, request.until or now
    interval = fitting_interval(since, until)
    counts = {_TIME: DateHistogram(interval)}
    # By number: the histogram is no facet, whatever a field is called.
    terms = {
        str(number): Terms(name, FACET_VALUES)
        for number, name in enumerate(facets)
        if has_terms(name)
    }
    failed = f"({request.query}) AND {ERRORS}" if request.query else ERRORS
    whole = store.search(replace(request, size=0, aggregations={**terms, **counts}))
    errors = store.search(replace(request, query=failed, size=0, aggregations=counts))
    buckets = whole.aggregations.get(_TIME, [])
    shown = pages.page(store, _narrowed(request, buckets, interval, after), after)
    failures = dict(filled(errors.aggregations.get(_TIME, []), since, until, interval))
    return Found(
        total=whole.total,
        errors=errors.total,
        events=shown.events,
        next=shown.next,
        interval=interval,
        bars=[
            (start, count, failures[start])
            for start, count in filled(buckets, since, until, interval)
        ],
        facets={name: whole.aggregations.get(str(number)) for number, name in enumerate(facets)},
    )


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


def _end(start: datetime, interval: timedelta) -> datetime:
    """Return the end of an interval, at most the year 9999."""
    length = interval // timedelta(microseconds=1)
    return time_ranges.to_datetime(time_ranges.to_microseconds(start) + length)
