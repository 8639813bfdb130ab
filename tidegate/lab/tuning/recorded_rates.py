"""A trace of the service's own traffic from Prometheus."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import aiohttp
import numpy as np

from tidegate.lab.simulator.traces import MAX_REQUESTS, Trace, TraceError

SERIES: Final = "service:arrival_rate:1m"
STEP_SECONDS: Final = 60.0
# Prometheus refuses a range query of more than 11,000 points.
MOST_POINTS: Final = 10_000
TIMEOUT_SECONDS: Final = 60.0


class RatesError(RuntimeError):
    """The rates cannot be read. The text says why."""


async def recorded_trace(prometheus: str, begin: float, end: float) -> tuple[Trace, int]:
    """The arrival rates of each minute, and the number of minutes without one.

    What was not recorded counts as no requests, before the first recorded minute it is left out.

    Args:
        prometheus: its URL.
        begin: seconds since 1970.
        end: the same.

    Raises:
        RatesError: Prometheus does not answer, or has none of these rates.
        TraceError: there are too many requests to simulate, or none.
    """
    minutes = math.ceil((end - begin) / STEP_SECONDS)
    rates = np.full(minutes, np.nan)
    async with aiohttp.ClientSession(trust_env=False) as session:
        for first in range(0, minutes, MOST_POINTS):
            last = min(first + MOST_POINTS, minutes) - 1
            form = {
                "query": SERIES,
                "start": f"{begin + first * STEP_SECONDS:.3f}",
                "end": f"{begin + last * STEP_SECONDS:.3f}",
                "step": f"{STEP_SECONDS:g}",
            }
            for at, rate in await _query(session, prometheus, form):
                number = round((at - begin) / STEP_SECONDS)
                if 0 <= number < minutes and math.isfinite(rate) and rate >= 0:
                    rates[number] = rate
    known = np.flatnonzero(~np.isnan(rates))
    if not len(known):
        raise RatesError(f"Prometheus at {prometheus} has no {SERIES} of that time")
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


async def _query(
    session: aiohttp.ClientSession, prometheus: str, form: dict[str, str]
) -> list[tuple[float, float]]:
    url = f"{prometheus.rstrip('/')}/api/v1/query_range"
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with session.post(url, data=form, timeout=timeout) as response:
            body = await response.read()
            if response.status != 200:
                raise RatesError(f"{url} responded with status {response.status}: {body[:200]!r}")
        found: Any = json.loads(body)
        series = found["data"]["result"]
        # Several series, as of two Prometheus with labels of their own, would count twice.
        if len(series) > 1:
            raise RatesError(f"Prometheus at {prometheus} has {len(series)} series of {SERIES}")
        return [(float(at), float(value)) for at, value in series[0]["values"]] if series else []
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise RatesError(f"{url} does not respond: {error or 'timeout'}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RatesError(f"{url} responded with something else than a range: {error!r}") from error
