"""Cron expressions: which minutes they match.

Five fields, as in crontab(5): minute, hour, day of month, month, day of week. Each is `*`, a number, a
range, a list of these, with `/step`; months and days have names too, and Sunday is 0 or 7. As in cron,
if both days are restricted, either may match.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

# Independent of the machine's language, unlike the calendar module's names.
MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
DAYS: Final = {
    name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))
}


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression, read: the numbers that each field matches."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def matches(self, when: datetime) -> bool:
        """Whether the minute that this moment is in is one of the expression's."""
        day = when.day in self.days
        weekday = when.isoweekday() % 7 in self.weekdays
        return (
            when.minute in self.minutes
            and when.hour in self.hours
            and when.month in self.months
            and (day or weekday if self.either_day else day and weekday)
        )


def read_cron(expression: str) -> Cron:
    """Read an expression.

    Raises:
        ValueError: it is none; the text names the field.
    """
    fields = expression.lower().split()
    if len(fields) != 5:
        raise ValueError(
            f"{expression!r} is no cron expression: it needs five fields, minute, hour,"
            f" day of month, month and day of week, and has {len(fields)}"
        )
    weekdays = _read(fields[4], "day of week", 0, 7, DAYS)
    return Cron(
        minutes=_read(fields[0], "minute", 0, 59, {}),
        hours=_read(fields[1], "hour", 0, 23, {}),
        days=_read(fields[2], "day of month", 1, 31, {}),
        months=_read(fields[3], "month", 1, 12, MONTHS),
        weekdays=frozenset(day % 7 for day in weekdays),
        either_day=not (fields[2].startswith("*") or fields[4].startswith("*")),
    )


def _read(field: str, what: str, least: int, most: int, names: Mapping[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span = _span(part, least, most, names)
        if span is None:
            raise ValueError(f"cron field {what}: {part!r} is not within {least} to {most}")
        found.update(span)
    return frozenset(found)


def _span(part: str, least: int, most: int, names: Mapping[str, int]) -> range | None:
    """The numbers of one part of a list; None if it cannot be read."""
    numbers, stepped, step = part.partition("/")
    first, dash, last = numbers.partition("-")
    if numbers == "*":
        begin, end = least, most
    else:
        begin = _number(first, names)
        # As in cron: `5/15` is from 5 on, `5` alone is 5.
        end = _number(last, names) if dash else most if stepped else begin
    stride = _number(step, {}) if stepped else 1
    return range(begin, end + 1, stride) if least <= begin <= end <= most and stride > 0 else None


def _number(text: str, names: Mapping[str, int]) -> int:
    """The number, or -1, which is in no field."""
    return names.get(text, int(text) if text.isdecimal() else -1)
