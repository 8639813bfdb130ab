"""A trace of the service's own traffic from Prometheus."""

from __future__ import annotations

import math
from typing import Final

import aiohttp
import numpy as np

from tidegate.lab.simulator.traces import MAX_REQUESTS, Trace, TraceError
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.prometheus import Prometheus, Sample

SERIES: Final = "service:arrival_rate:1m"
STEP_SECONDS: Final = 60.0
# Prometheus refuses a range query of more than 11,000 points.
MOST_POINTS: Final = 10_000
TIMEOUT_SECONDS: Final = 60.0


async def recorded_trace(prometheus: str, begin: float, end: float) -> tuple[Trace, int]:
    """The arrival rates of each minute, and the number of minutes without one.

    What was not recorded counts as no requests, before the first recorded minute it is left out.

    The times are in seconds since 1970.

    Raises:
        HttpError: Prometheus does not answer, or has none of these rates.
        TraceError: there are too many requests to simulate, or none.
    """
    minutes = math.ceil((end - begin) / STEP_SECONDS)
    rates = np.full(minutes, np.nan)
    async with aiohttp.ClientSession(trust_env=False) as session:
        client = Prometheus(session, prometheus, TIMEOUT_SECONDS)
        for first in range(0, minutes, MOST_POINTS):
            last = min(first + MOST_POINTS, minutes) - 1
            times = (begin + first * STEP_SECONDS, begin + last * STEP_SECONDS)
            for at, rate in await _rates(client, *times):
                number = round((at - begin) / STEP_SECONDS)
                if 0 <= number < minutes and math.isfinite(rate) and rate >= 0:
                    rates[number] = rate
    known = np.flatnonzero(~np.isnan(rates))
    if not len(known):
        raise HttpError(f"Prometheus at {prometheus} has no {SERIES} of that time")
    rates = rates[known[0] :]
    missing = int(np.isnan(rates).sum())
    rates = np.nan_to_num(rates)
    total = float(rates.sum()) * STEP_SECONDS
    if not 0 < total <= MAX_REQUESTS:
        raise TraceError(
            f"{SERIES} says {total:.3g} requests in that time; 1 to {MAX_REQUESTS:,} can be simulated, so use"
            " another time"
        )
    return Trace("recorded", STEP_SECONDS, rates), missing


async def _rates(client: Prometheus, begin: float, end: float) -> list[Sample]:
    series = await client.query_range(SERIES, begin, end, STEP_SECONDS)
    # Several series, as of two Prometheus with labels of their own, would count twice.
    if len(series) > 1:
        raise HttpError(f"Prometheus at {client.url} has {len(series)} series of {SERIES}")
    return series[0].samples if series else []
