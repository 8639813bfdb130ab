"""What came at this time on earlier days, from Prometheus: the learned profile of a day."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, Literal

import aiohttp
from pydantic import BaseModel, Field, ValidationError

from tidegate.autoscaler.predictive import AHEAD_SECONDS
from tidegate.autoscaler.signals import SERIES, Reading

DAYS: Final = 7
DAY_SECONDS: Final = 86_400
# A profile of minutes does not change within one.
KEPT_SECONDS: Final = 60.0


def query(days: int = DAYS, ahead_seconds: float = AHEAD_SECONDS) -> str:
    """The median over earlier days of the largest rate in the minutes that are ahead now.

    Days that Prometheus has no samples of do not count. With none, the answer is empty.
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


class _Answer(BaseModel):
    status: Literal["success"]
    data: _Data


def parse(body: bytes) -> float | None:
    """The rate in an answer of Prometheus; None if there is none that can be true."""
    try:
        result = _Answer.model_validate_json(body).data.result
    except ValidationError:
        return None
    rate = result[0].value[1] if result else math.nan
    return rate if math.isfinite(rate) and rate >= 0 else None


@dataclass(slots=True)
class HistoryReader:
    """Adds what is to be expected to what was read.

    A history that cannot be had is no problem of the signals: nothing is expected then.

    Attributes:
        url: where Prometheus is, as http://HOST:PORT.
        session: its connections; the caller closes it.
        inner: what reads the other signals.
        clock: in seconds, on any clock that only goes forward.
        timeout_seconds: how long the query may take.
    """

    url: str
    session: aiohttp.ClientSession
    inner: Callable[[], Awaitable[Reading]]
    clock: Callable[[], float]
    timeout_seconds: float = 2.0
    _rate: float | None = field(default=None, init=False)
    _asked: float = field(default=-math.inf, init=False)

    async def read(self) -> Reading:
        """The reading, with the rate that is to be expected."""
        now = self.clock()
        if now - self._asked >= KEPT_SECONDS:
            self._asked, self._rate = now, await self._ask()
        return replace(await self.inner(), expected_rate=self._rate)

    async def _ask(self) -> float | None:
        try:
            async with self.session.get(
                f"{self.url.rstrip('/')}/api/v1/query",
                params={"query": query()},
                timeout=aiohttp.ClientTimeout(total=self.timeout_seconds),
                allow_redirects=False,
            ) as answer:
                return parse(await answer.read())
        except (TimeoutError, aiohttp.ClientError, OSError):
            return None
