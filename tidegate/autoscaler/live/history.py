"""Reads the traffic around this time of earlier days from Prometheus."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, Literal

import aiohttp
from pydantic import BaseModel, Field, ValidationError

from tidegate.autoscaler.live.signals import SERIES, Reading
from tidegate.autoscaler.wrappers.daily_rise import (
    AHEAD_SECONDS,
    DAY_SECONDS,
    DAYS,
    LEVEL_SECONDS,
    READ_SECONDS,
    RECENT_SECONDS,
)

DailyRates = tuple[tuple[float, ...], ...]

# What was read is used for this long if nothing new can be read.
KEPT_SECONDS: Final = 300.0
# The rates of a day, in the order of `daily_rise.Rates`, by their label.
LEVEL, RECENT = "level", "recent"
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


class _Labels(BaseModel):
    day: Annotated[int, Field(ge=0, le=DAYS)]
    rate: str


class _Series(BaseModel):
    metric: _Labels
    value: tuple[float, float]


class _Data(BaseModel):
    result: Annotated[list[_Series], Field(max_length=(DAYS + 1) * (2 + len(AHEAD)))]


class _Response(BaseModel):
    status: Literal["success"]
    data: _Data


class HistoryError(RuntimeError):
    """The history cannot be read. The text says why."""


def parse(body: bytes) -> DailyRates:
    """The rates in a response of Prometheus, today's first; empty if there are none of earlier days.

    A day of which one of the rates is missing has none. To four digits, since each decision records them.

    Raises:
        HistoryError: the response or a rate is invalid.
    """
    try:
        result = _Response.model_validate_json(body).data.result
    except ValidationError as error:
        raise HistoryError("the response of Prometheus is invalid") from error
    found: dict[tuple[int, str], float] = {}
    for series in result:
        rate = series.value[1]
        if not (math.isfinite(rate) and rate >= 0):
            raise HistoryError(f"Prometheus returned an invalid rate: {rate}")
        found[series.metric.day, series.metric.rate] = float(f"{rate:.4g}")
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

    A missing history is no problem of the signals. The last rates are kept until the minutes that they cover
    are over; after that there are none. `Reading.history_problem` says which.

    Attributes:
        url: where Prometheus is, as http://HOST:PORT.
        session: the HTTP session; the caller closes it.
        inner: reads the other signals.
        clock: a monotonic clock, in seconds.
        timeout_seconds: how long the query may take.
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
        return replace(reading, daily_rates=self._rates, history_problem=self._problem)

    async def _learn(self, now: float) -> None:
        try:
            self._rates, self._fetched_at, self._problem = await self._fetch(), now, ""
        except HistoryError as error:
            if now - self._fetched_at >= KEPT_SECONDS:
                self._rates = ()
            follows = "the last rates are kept" if self._rates else "no rise is expected"
            self._problem = f"{error}; {follows}"

    async def _fetch(self) -> DailyRates:
        try:
            # As a form: the query is longer than some proxies allow for a URL.
            async with self.session.post(
                f"{self.url.rstrip('/')}/api/v1/query",
                data={"query": query()},
                timeout=aiohttp.ClientTimeout(total=self.timeout_seconds),
                allow_redirects=False,
            ) as response:
                return parse(await response.read())
        except TimeoutError as error:
            raise HistoryError("Prometheus is too slow") from error
        except (aiohttp.ClientError, OSError) as error:
            raise HistoryError(f"Prometheus cannot be reached: {type(error).__name__}") from error
