"""How the terminal shows an event in one line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tidegate.store.search.event_lines import line


def test_an_event_with_invalid_values_is_formatted() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert line({"@timestamp": "\x07", "log": 5}, now, UTC).plain == "\\x07 -     -           "
    whole = {"@timestamp": "2026-03-01T10:00:00.1239Z", "message": "a\nb\x1b"}
    assert line(whole, now, UTC).plain == "10:00:00.123 -     -           a\\nb\\x1b"


@pytest.mark.parametrize("value", [1, "n", ""])
def test_a_name_with_an_equals_sign_is_shown(value: object) -> None:
    text = line({"x=nan": value}, datetime(2026, 3, 1, tzinfo=UTC), UTC).plain
    assert text.endswith(f"x=nan={value}")


@pytest.mark.parametrize("hours", [-12, 0, 12])
@pytest.mark.parametrize(
    "timestamp",
    ["9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00Z"],
)
def test_the_first_and_the_last_time_are_formatted_in_each_time_zone(
    timestamp: str, hours: int
) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    text = line({"@timestamp": timestamp}, now, timezone(timedelta(hours=hours))).plain
    assert text.startswith(("9999-12-31", "1-01-01"))
