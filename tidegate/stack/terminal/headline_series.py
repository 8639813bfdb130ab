"""The recorded series that the status shows: arrivals, latency and queue."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import aiohttp

from tidegate.runtime.http_client import HttpError
from tidegate.runtime.prometheus import Prometheus

ARRIVALS: Final = "service:arrival_rate:15s"
LATENCY: Final = "service:latency_seconds_p95:15s"
QUEUE: Final = "service:queue:now"
TIMEOUT_SECONDS: Final = 1.0


async def fetch_headline(session: aiohttp.ClientSession, prometheus: str) -> dict[str, float]:
    """The current values by series name, without NaN (no arrivals); empty if Prometheus does not answer."""
    expression = f'{{__name__=~"{ARRIVALS}|{LATENCY}|{QUEUE}"}}'
    try:
        found = await Prometheus(session, prometheus, TIMEOUT_SECONDS).query(expression)
    except HttpError:
        return {}
    return {
        one.labels["__name__"]: value
        for one in found
        for _, value in one.samples
        if math.isfinite(value)
    }


def headline_text(headline: Mapping[str, float], objective_seconds: float) -> str:
    """The values as one line of text."""
    if not headline:
        return "no measurements yet"
    parts = [f"{headline.get(ARRIVALS, 0.0):.1f} requests/s"]
    if (latency := headline.get(LATENCY)) is not None:
        parts.append(f"p95 {latency * 1e3:.0f} ms (objective {objective_seconds * 1e3:.0f} ms)")
    parts.append(f"{headline.get(QUEUE, 0.0):.0f} queued")
    return "   ".join(parts)
