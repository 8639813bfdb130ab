from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.store.query import time_ranges

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(*parts: int) -> int:
    return time_ranges.to_microseconds(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type,misc]


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_is_converted_to_microseconds_and_back(moment: datetime) -> None:
    number = time_ranges.to_microseconds(moment)
    assert time_ranges.to_datetime(number) == moment
    assert time_ranges.microseconds(moment.isoformat(timespec="microseconds")) == number


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", at(2026, 1, 1), at(2027, 1, 1)),
        ("2026-03", at(2026, 3, 1), at(2026, 4, 1)),
        ("2026-12", at(2026, 12, 1), at(2027, 1, 1)),
        ("2026-03-01", at(2026, 3, 1), at(2026, 3, 2)),
        ("2026-03-01T10", at(2026, 3, 1, 10), at(2026, 3, 1, 11)),
        ("2026-03-01T10:30", at(2026, 3, 1, 10, 30), at(2026, 3, 1, 10, 31)),
        ("2026-03-01T10:30+02:00", at(2026, 3, 1, 8, 30), at(2026, 3, 1, 8, 31)),
        ("2026-03-01T10:30:05Z", at(2026, 3, 1, 10, 30, 5), at(2026, 3, 1, 10, 30, 6)),
        ("2026-03-01T10:30:05.25Z", at(2026, 3, 1, 10, 30, 5, 250_000), None),
        ("now", at(2026, 3, 1, 12), None),
        ("now-5m", at(2026, 3, 1, 11, 55), None),
        ("now+1d", at(2026, 3, 2, 12), None),
    ],
)
def test_a_time_in_a_query_is_a_range(text: str, start: int, end: int | None) -> None:
    span = time_ranges.time_range(text, NOW)
    assert span is not None
    assert span.start == start
    if end is not None:
        assert span.end == end
    assert span.end > span.start


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "2026-3-1", "9999-12-31", "now-5", "now-999999999w"]
)
def test_an_invalid_time_has_no_range(text: str) -> None:
    assert time_ranges.time_range(text, NOW) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        (" 5m ", NOW - timedelta(minutes=5)),
        ("2h", NOW - timedelta(hours=2)),
        ("1d", NOW - timedelta(days=1)),
        ("now", NOW),
        ("2026-03-01T10:00:00Z", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T10:00:00+02:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
    ],
)
def test_an_age_or_a_time_is_accepted(text: str, moment: datetime) -> None:
    assert time_ranges.when(text, NOW) == moment


def test_a_time_without_a_time_zone_is_local() -> None:
    assert time_ranges.when("2026-03-01", NOW) == datetime(2026, 3, 1).astimezone()


@pytest.mark.parametrize("text", ["", "5", "5 minutes", "m5", "-5m", "999999999w"])
def test_an_invalid_time_is_an_error_with_the_accepted_formats(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s, 5m, 2h or 1d"):
        time_ranges.when(text, NOW)


def test_a_duration_is_a_number_with_a_unit() -> None:
    assert time_ranges.age("7d") == timedelta(days=7)
    with pytest.raises(ValueError, match="not a valid duration"):
        time_ranges.age("soon")
    with pytest.raises(ValueError, match="too long"):
        time_ranges.age("999999999w")


@pytest.mark.parametrize("text", ["2026-03-01T99:00:00Z", "junk", "2026-03-01 10:00", "T", ""])
def test_an_invalid_time_has_no_microseconds(text: str) -> None:
    assert time_ranges.microseconds(text) is None
