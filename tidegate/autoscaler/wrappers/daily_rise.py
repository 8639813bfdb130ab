"""Rises that come at the same time of day: what most earlier days had within minutes, at today's level.

A forecast is used only if at least five of seven days, and the same day of the last week, had that rise at
this time: a back-test of this moment, without a state. It ends with the rise, so a wrong one keeps its
replicas for minutes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DAYS: Final = 7
DAY_SECONDS: Final = 86_400
# Today's level is the mean rate of this time, which a rise some minutes early changes little.
LEVEL_SECONDS: Final = 3600
# A rise is one above the largest rate of this time before.
RECENT_SECONDS: Final = 300
# How far ahead the largest rate of each day is known.
AHEAD_SECONDS: Final = (120, 180, 240, 300, 420, 600)
# How often the history is read.
READ_SECONDS: Final = 15.0
# A rate over a minute shows a rise that late, and what was read may be that old.
LAG_SECONDS: Final = 60.0 + READ_SECONDS

# At most that of a checked signal.
MAX_RATE: Final = 1e9

MIN_DAYS: Final = 3
# Of 7 days 2 may be without the rise, as weekends are; of 4 to 6 one; of 3 none.
WITHOUT_SHARE: Final = 0.3
MIN_RISE: Final = 1.1
CHANCE_SIGMAS: Final = 2.5
# The most of what a day had, as a multiple.
MAX_SCALE: Final = 2.0
# Requests a second: a ratio of rates far below says nothing.
SMALL_RATE: Final = 1.0

Rates = Sequence[float]
"""Of a day, in requests a second: the mean of the last hour before this time, the largest rate of a minute in
the last five minutes, and then, if it is an earlier day, the largest within each of `AHEAD_SECONDS`."""


@dataclass(frozen=True, slots=True)
class DailyRise:
    """A rise that most earlier days had at this time.

    Attributes:
        rate: what to expect today, in requests a second; 0: nothing.
        seconds: within how long.
        days: the number of earlier days that are known.
        with_it: of these, those that had at least as much at today's level.
    """

    rate: float = 0.0
    seconds: float = 0.0
    days: int = 0
    with_it: int = 0


def daily_rise(rates: Sequence[Rates], horizon_seconds: float) -> DailyRise:
    """The rise to expect until the horizon, from the rates of today and of earlier days.

    Of each day, what it had ahead counts if that clearly exceeded what it had before; else nothing. It is
    scaled to today's level, by the smaller one of the ratios of the last hour and of the last minutes: today
    may be lower as a whole, or have fallen since. Of these, the largest is expected that enough days had. If
    the same day of the last week is known and had none, as on a weekend, none is expected.

    Args:
        rates: today's, and those of each earlier day, yesterday's first; days with missing or invalid rates
            do not count.
        horizon_seconds: until a replica started now is ready.
    """
    today, *earlier = rates or ((),)
    needed = horizon_seconds + LAG_SECONDS
    index = next(
        (number for number, seconds in enumerate(AHEAD_SECONDS) if seconds >= needed),
        len(AHEAD_SECONDS) - 1,
    )
    complete = [day for day in earlier if _valid(day, 2 + len(AHEAD_SECONDS))]
    if len(complete) < MIN_DAYS or not _valid(today, 2):
        return DailyRise(days=len(complete))
    expected = sorted(_at_todays_level(today, day, day[2 + index]) for day in complete)
    rate = expected[math.floor(WITHOUT_SHARE * len(expected))]
    week_ago = earlier[DAYS - 1] if len(earlier) >= DAYS else ()
    known = _valid(week_ago, 2 + len(AHEAD_SECONDS))
    if known and not _at_todays_level(today, week_ago, week_ago[2 + index]):
        rate = 0.0
    if rate <= 0:
        return DailyRise(days=len(complete))
    with_it = sum(one >= rate for one in expected)
    return DailyRise(rate, AHEAD_SECONDS[index], len(complete), with_it)


def _at_todays_level(today: Rates, day: Rates, ahead: float) -> float:
    """What a day had ahead, at today's level; 0 if that was no rise."""
    recent = day[1]
    if ahead <= MIN_RISE * recent + CHANCE_SIGMAS * math.sqrt(recent / 60):
        return 0.0
    ratios = [
        (now + SMALL_RATE) / (then + SMALL_RATE)
        for now, then in zip(today[:2], day[:2], strict=True)
    ]
    return min(MAX_RATE, ahead * min(*ratios, MAX_SCALE))


def _valid(rates: Rates, length: int) -> bool:
    return len(rates) >= length and all(0 <= rate <= MAX_RATE for rate in rates[:length])
