"""The intervals of a histogram over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from tidegate.store.base import Bucket
from tidegate.store.query import time_ranges

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
