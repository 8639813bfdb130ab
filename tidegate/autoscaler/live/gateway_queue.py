"""Reads the length of the gateway's queue from its exporter while there is no replica.

Prometheus has the value some seconds later, after a scrape and an evaluation of the rules, which would
prolong a cold start. At zero replicas the autoscaler must not depend on Prometheus, either.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import aiohttp

from tidegate.runtime.metrics_text import sample_value


@dataclass(frozen=True, slots=True)
class GatewayQueue:
    """Reads the gateway's exporter.

    Attributes:
        url: of its metrics, as http://HOST:PORT/metrics.
        session: the HTTP session; the caller closes it.
        timeout_seconds: of a request.
    """

    url: str
    session: aiohttp.ClientSession
    timeout_seconds: float = 1.0

    async def read(self) -> float | None:
        """The number of queued requests; None if it cannot be read. Never raises."""
        try:
            async with self.session.get(
                self.url,
                params={"scope": "backend"},
                timeout=aiohttp.ClientTimeout(total=self.timeout_seconds),
                allow_redirects=False,
            ) as response:
                text = await response.text("utf-8")
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return None
        queued = sample_value(text, "haproxy_backend_current_queue", proxy="model")
        return queued if queued is not None and isfinite(queued) and queued >= 0 else None
