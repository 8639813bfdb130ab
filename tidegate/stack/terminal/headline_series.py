"""The recorded series that the status shows: arrivals, latency and queue."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from tidegate.runtime.http_probe import Fetch

ARRIVALS: Final = "service:arrival_rate:15s"
LATENCY: Final = "service:latency_seconds_p95:15s"
QUEUE: Final = "service:queue:now"
TIMEOUT_SECONDS: Final = 1.0


async def fetch_headline(fetch: Fetch, prometheus: str) -> dict[str, float]:
    """The current values by series name; empty if Prometheus does not answer."""
    query = urlencode({"query": f'{{__name__=~"{ARRIVALS}|{LATENCY}|{QUEUE}"}}'})
    text = await fetch(f"{prometheus}/api/v1/query?{query}", TIMEOUT_SECONDS)
    return parse_headline(text or "")


def parse_headline(text: str) -> dict[str, float]:
    """The values in Prometheus' response to an instant query. NaN (no arrivals) is left out."""
    try:
        found = {
            series["metric"]["__name__"]: float(series["value"][1])
            for series in json.loads(text)["data"]["result"]
        }
    except (ValueError, KeyError, TypeError, IndexError):
        return {}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def headline_text(headline: Mapping[str, float], objective_seconds: float) -> str:
    """The values as one line of text."""
    if not headline:
        return "no measurements yet"
    parts = [f"{headline.get(ARRIVALS, 0.0):.1f} requests/s"]
    if (latency := headline.get(LATENCY)) is not None:
        parts.append(f"p95 {latency * 1e3:.0f} ms (objective {objective_seconds * 1e3:.0f} ms)")
    parts.append(f"{headline.get(QUEUE, 0.0):.0f} queued")
    return "   ".join(parts)
