"""Parses times: ISO 8601 in events and queries, and `5m` for "five minutes ago" on the command line.

Inside the store a time is a whole number of microseconds since 1970 (UTC).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# The range of datetime: the years 1 to 9999.
_MIN: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_MAX: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
MIN_MS, MAX_MS = _MIN // 1000, _MAX // 1000
_UNIT: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_AGO = re.compile(r"(\d{1,9})([smhdw])")
_NOW = re.compile(r"now(?:([+-])(\d{1,9})([smhdw]))?")
_ISO = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?P<fraction>[.,]\d{1,9})?)?)?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?)?)?"
)


class TimeRange(NamedTuple):
    """The times from start (inclusive) to end (exclusive), in microseconds since 1970."""

    start: int
    end: int


def to_microseconds(time: datetime) -> int:
    """Return microseconds since 1970; a time without a time zone is UTC."""
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def to_datetime(microseconds: int) -> datetime:
    """Return the time in UTC, at most that of the year 9999, at least that of the year 1."""
    return _EPOCH + timedelta(microseconds=min(max(microseconds, _MIN), _MAX))


def microseconds(text: str) -> int | None:
    """Parse an ISO 8601 time into microseconds since 1970; None if it is not valid."""
    if text[10:11] == "T":  # the usual case, without a regular expression
        try:
            return to_microseconds(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            return None
    parsed = _iso(text)
    return parsed.start if parsed else None


def time_range(text: str, now: datetime) -> TimeRange | None:
    """Parse a time in a query: `2026-03-01` is the whole day, `now-5m` is one microsecond."""
    if found := _NOW.fullmatch(text):
        sign, amount, unit = found.groups()
        try:
            offset = int(amount) * _UNIT[unit] if unit else timedelta()
            start = to_microseconds(now - offset if sign == "-" else now + offset)
        except OverflowError:
            return None
        return TimeRange(start, start + 1)
    return _iso(text)


def when(text: str, now: datetime) -> datetime:
    """Parse `30s`, `5m`, `2h` or `1d` (an age), `now`, or a time in ISO 8601.

    Raises:
        ValueError: It is none of these; the message lists the accepted formats.
    """
    stripped = text.strip()
    try:
        if found := _AGO.fullmatch(stripped):
            return now - int(found[1]) * _UNIT[found[2]]
        if stripped == "now":
            return now
        # A time without a time zone is local time.
        return datetime.fromisoformat(stripped).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is not a valid time: use an age such as 30s, 5m, 2h or 1d, or a time in ISO 8601 "
            "such as 2026-03-01T14:30"
        ) from error


def age(text: str) -> timedelta:
    """Parse a duration: `30s`, `5m`, `2h`, `7d`.

    Raises:
        ValueError: It is not a duration.
    """
    try:
        if found := _AGO.fullmatch(text):
            return int(found[1]) * _UNIT[found[2]]
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long: a duration has at most 999999999 days") from error
    raise ValueError(
        f"{text!r} is not a valid duration: use a number with a unit, such as 30s, 5m, 2h or 7d"
    )


def _iso(text: str) -> TimeRange | None:
    found = _ISO.fullmatch(text)
    if not found:
        return None
    part = found.groupdict()
    try:
        start = datetime.fromisoformat(
            f"{part['year']}-{part['month'] or '01'}-{part['day'] or '01'}"
            f"T{part['hour'] or '00'}:{part['minute'] or '00'}:{part['second'] or '00'}"
            f"{part['fraction'] or ''}{part['zone'] or '+00:00'}"
        )
        return TimeRange(to_microseconds(start), to_microseconds(_end(start, part)))
    except (ValueError, OverflowError):
        return None


def _end(start: datetime, part: dict[str, str | None]) -> datetime:
    """Return the end of the range that the text names."""
    if part["second"]:
        # Elasticsearch's dates have milliseconds: a time without a fraction names the whole second.
        digits = len(part["fraction"] or "") - 1
        return start + timedelta(microseconds=10 ** max(0, 6 - max(0, digits)))
    for name, length in (("minute", "m"), ("hour", "h"), ("day", "d")):
        if part[name]:
            return start + _UNIT[length]
    if part["month"]:
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return start.replace(year=start.year + 1)
