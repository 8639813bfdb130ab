"""Moments in text: ISO 8601 in events and queries, `5m` for a person's "five minutes ago".

Inside the store a moment is a whole number of microseconds since 1970 (UTC).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# What a datetime can hold: the years 1 to 9999.
MIN_MS: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
MAX_MS: Final = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH) // timedelta(
    milliseconds=1
)
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


class Span(NamedTuple):
    """From a moment to the next one that its text could have named; in microseconds since 1970."""

    start: int
    end: int


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970; a moment without a zone is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def to_datetime(microseconds: int) -> datetime:
    """The moment, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds(text: str) -> int | None:
    """An ISO 8601 moment in microseconds since 1970; None if it is none."""
    if text[10:11] == "T":  # the usual case, without a regular expression
        try:
            return to_microseconds(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            return None
    span = _iso(text)
    return span.start if span else None


def span(text: str, now: datetime) -> Span | None:
    """What a moment in a query covers: `2026-03-01` the whole day, `now-5m` one microsecond."""
    if found := _NOW.fullmatch(text):
        sign, amount, unit = found.groups()
        try:
            offset = int(amount) * _UNIT[unit] if unit else timedelta()
            start = to_microseconds(now - offset if sign == "-" else now + offset)
        except OverflowError:
            return None
        return Span(start, start + 1)
    return _iso(text)


def when(text: str, now: datetime) -> datetime:
    """What a person means by `30s`, `5m`, `2h`, `1d` (so long ago) or a moment in ISO 8601.

    Raises:
        ValueError: it is neither; the text says what would be.
    """
    wanted = text.strip()
    try:
        if found := _AGO.fullmatch(wanted):
            return now - int(found[1]) * _UNIT[found[2]]
        if wanted == "now":
            return now
        moment = datetime.fromisoformat(wanted)
        # Without a zone it is the person's own clock.
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is no time: give 30s, 5m, 2h, 1d (so long ago) or a time in ISO 8601, "
            "such as 2026-03-01T14:30"
        ) from error


def age(text: str) -> timedelta:
    """A length of time: `30s`, `5m`, `2h`, `7d`.

    Raises:
        ValueError: it is none.
    """
    found = _AGO.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no length of time: give 30s, 5m, 2h or 7d")
    return int(found[1]) * _UNIT[found[2]]


def _iso(text: str) -> Span | None:
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
        return Span(to_microseconds(start), to_microseconds(_following(start, part)))
    except (ValueError, OverflowError):
        return None


def _following(start: datetime, part: dict[str, str | None]) -> datetime:
    """The first moment that the text no longer covers."""
    if part["second"]:
        # Elasticsearch's dates have milliseconds: a second named without them covers the second.
        digits = len(part["fraction"] or "") - 1
        return start + timedelta(microseconds=10 ** max(0, 6 - max(0, digits)))
    for name, length in (("minute", "m"), ("hour", "h"), ("day", "d")):
        if part[name]:
            return start + _UNIT[length]
    if part["month"]:
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return start.replace(year=start.year + 1)
