"""Reads the traffic around this time of earlier days from Prometheus."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import aiohttp

from tidegate.autoscaler.live.signals import SERIES, Reading
from tidegate.autoscaler.wrappers.daily_rise import (
    AHEAD_SECONDS,
    DAY_SECONDS,
    DAYS,
    LEVEL_SECONDS,
    READ_SECONDS,
    RECENT_SECONDS,
)
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.prometheus import Prometheus, Series

DailyRates = tuple[tuple[float, ...], ...]

# The rates of a day, in the order of `daily_rise.Rates`, by their label.
LEVEL, RECENT = "level", "recent"
_DAYS: Final = frozenset(map(str, range(DAYS + 1)))
AHEAD: Final = {f"{seconds}s": seconds for seconds in AHEAD_SECONDS}


def query() -> str:
    """The query for the rates of today and of earlier days, with the labels `day` and `rate`.

    Days without samples are not in the result.
    """
    return f"max by (day, rate) ({' or '.join(_parts())})"


def _parts() -> Iterator[str]:
    series = SERIES["arrival_rate_60s"]
    for day in range(DAYS + 1):
        before = DAY_SECONDS * day
        # An offset of 0 s is invalid in older versions.
        offset = f" offset {before}s" if day else ""
        yield _labelled(f"avg_over_time({series}[{LEVEL_SECONDS}s]{offset})", day, LEVEL)
        yield _labelled(f"max_over_time({series}[{RECENT_SECONDS}s]{offset})", day, RECENT)
        for label, ahead in AHEAD.items() if day else ():
            yield _labelled(
                f"max_over_time({series}[{ahead}s] offset {before - ahead}s)", day, label
            )


def _labelled(vector: str, day: int, rate: str) -> str:
    return f'label_replace(label_replace({vector},"day","{day}","",""),"rate","{rate}","","")'


def rates_from(result: Sequence[Series]) -> DailyRates:
    """The rates in the series of `query`, today's first; empty if there are none of earlier days.

    A day of which one of the rates is missing has none. To four digits, since each decision records them.

    Raises:
        HttpError: a label or a rate is invalid.
    """
    found: dict[tuple[int, str], float] = {}
    for series in result:
        day, name = series.labels.get("day", ""), series.labels.get("rate", "")
        rate = series.samples[-1][1] if series.samples else math.nan
        if day not in _DAYS or not (math.isfinite(rate) and rate >= 0):
            raise HttpError(f"Prometheus returned an invalid rate {name!r} of day {day!r}: {rate}")
        found[int(day), name] = float(f"{rate:.4g}")
    today = _day(found, 0, (LEVEL, RECENT))
    earlier = [_day(found, day, (LEVEL, RECENT, *AHEAD)) for day in range(1, DAYS + 1)]
    return (today, *earlier) if any(earlier) else ()


def _day(
    found: dict[tuple[int, str], float], day: int, rates: tuple[str, ...]
) -> tuple[float, ...]:
    known = tuple(found[day, rate] for rate in rates if (day, rate) in found)
    return known if len(known) == len(rates) else ()


@dataclass(slots=True)
class HistoryReader:
    """Adds the rates of earlier days to a reading.

    A missing history is no problem of the signals: no rise is expected. `Reading.history_problem` says why.

    `inner` reads the other signals. The caller closes the session.
    """

    url: str
    session: aiohttp.ClientSession
    inner: Callable[[], Awaitable[Reading]]
    clock: Callable[[], float]
    timeout_seconds: float = 2.0
    _rates: DailyRates = field(default=(), init=False)
    _fetched_at: float = field(default=-math.inf, init=False)
    _problem: str = field(default="", init=False)

    async def read(self) -> Reading:
        """The reading, with the rates of earlier days."""
        now = self.clock()
        if self._problem or now - self._fetched_at >= READ_SECONDS:
            reading, _ = await asyncio.gather(self.inner(), self._learn(now))
        else:
            reading = await self.inner()
        signals = replace(reading.signals, daily_rates=self._rates)
        return replace(reading, signals=signals, history_problem=self._problem)

    async def _learn(self, now: float) -> None:
        try:
            self._rates, self._fetched_at, self._problem = await self._fetch(), now, ""
        except HttpError as error:
            self._rates, self._problem = (), f"{error}; no rise is expected"

    async def _fetch(self) -> DailyRates:
        prometheus = Prometheus(self.session, self.url, self.timeout_seconds)
        return rates_from(await prometheus.query(query()))
