"""Reads the traffic at this time of earlier days from Prometheus."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, Literal

import aiohttp
from pydantic import BaseModel, Field, ValidationError

from tidegate.autoscaler.live.signals import SERIES, Reading
from tidegate.autoscaler.policies.predictive import AHEAD_SECONDS

DAYS: Final = 7
DAY_SECONDS: Final = 86_400
# The forecast covers minutes, so it is queried once a minute.
CACHE_SECONDS: Final = 60.0


def query(days: int = DAYS, ahead_seconds: float = AHEAD_SECONDS) -> str:
    """The query for the median over earlier days of the maximum rate in the minutes ahead.

    Days without samples do not count. With none at all, the result is empty.
    """
    ahead = round(ahead_seconds)
    parts = (
        f"label_replace(max_over_time({SERIES['arrival_rate_60s']}[{ahead}s]"
        f' offset {DAY_SECONDS * day - ahead}s), "day", "{day}", "", "")'
        for day in range(1, days + 1)
    )
    return f"quantile(0.5, {' or '.join(parts)})"


class _Series(BaseModel):
    value: tuple[float, float]


class _Data(BaseModel):
    result: Annotated[list[_Series], Field(max_length=1)]


class _Response(BaseModel):
    status: Literal["success"]
    data: _Data


class HistoryError(RuntimeError):
    """The history cannot be read. The text says why."""


def parse(body: bytes) -> float | None:
    """The rate in a response of Prometheus; None if it has no samples of earlier days.

    Raises:
        HistoryError: the response or its rate is invalid.
    """
    try:
        result = _Response.model_validate_json(body).data.result
    except ValidationError as error:
        raise HistoryError("the response of Prometheus is invalid") from error
    if not result:
        return None
    rate = result[0].value[1]
    if not (math.isfinite(rate) and rate >= 0):
        raise HistoryError(f"Prometheus returned an invalid rate: {rate}")
    return rate


@dataclass(slots=True)
class HistoryReader:
    """Adds the expected rate to a reading.

    A missing history is no problem of the signals. The last rate is kept until the minutes that it covers are
    over; after that there is no expected rate. `Reading.history_problem` says which.

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
    _rate: float | None = field(default=None, init=False)
    _fetched_at: float = field(default=-math.inf, init=False)
    _problem: str = field(default="", init=False)

    async def read(self) -> Reading:
        """The reading, with the expected rate."""
        now = self.clock()
        if self._problem or now - self._fetched_at >= CACHE_SECONDS:
            reading, _ = await asyncio.gather(self.inner(), self._learn(now))
        else:
            reading = await self.inner()
        return replace(reading, expected_rate=self._rate, history_problem=self._problem)

    async def _learn(self, now: float) -> None:
        try:
            self._rate, self._fetched_at, self._problem = await self._fetch(), now, ""
        except HistoryError as error:
            if now - self._fetched_at >= AHEAD_SECONDS:
                self._rate = None
            follows = "the last rate is kept" if self._rate is not None else "no rate is expected"
            self._problem = f"{error}; {follows}"

    async def _fetch(self) -> float | None:
        try:
            async with self.session.get(
                f"{self.url.rstrip('/')}/api/v1/query",
                params={"query": query()},
                timeout=aiohttp.ClientTimeout(total=self.timeout_seconds),
                allow_redirects=False,
            ) as response:
                return parse(await response.read())
        except TimeoutError as error:
            raise HistoryError("Prometheus is too slow") from error
        except (aiohttp.ClientError, OSError) as error:
            raise HistoryError(f"Prometheus cannot be reached: {type(error).__name__}") from error
