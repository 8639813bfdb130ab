"""Fitting intervals of a histogram, and the ones without an event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.store.base import Bucket
from tidegate.store.search.browse import INTERVALS, filled, fitting_interval

START = datetime(2026, 3, 1, 10, 0, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "interval"),
    [
        (timedelta(), timedelta(milliseconds=1)),
        (timedelta(seconds=1), timedelta(milliseconds=20)),
        (timedelta(minutes=15), timedelta(seconds=10)),
        (timedelta(hours=6), timedelta(minutes=5)),
        (timedelta(days=7), timedelta(hours=2)),
        (timedelta(days=3650), timedelta(days=60)),
    ],
)
def test_the_interval_is_a_usual_one_of_which_few_cover_the_range(
    span: timedelta, interval: timedelta
) -> None:
    assert fitting_interval(START, START + span) == interval
    assert span / interval <= INTERVALS


def test_intervals_without_events_are_filled_to_both_ends() -> None:
    bucket = Bucket(datetime(2026, 3, 1, 10, 0, 10, tzinfo=UTC), 7)
    found = filled([bucket], START, START + timedelta(seconds=20), timedelta(seconds=5))
    assert [(time.second, count) for time, count in found] == [
        *((0, 0), (5, 0), (10, 7), (15, 0), (20, 0))
    ]
