"""The length of the gateway's queue, read from its exporter while there is no replica.

Prometheus has it some seconds later, after a scrape and an evaluation of the rules, and a cold start would
take that much longer. And at zero replicas the autoscaler must not depend on Prometheus.
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
        session: the caller closes it.
        timeout_seconds: of a request.
    """

    url: str
    session: aiohttp.ClientSession
    timeout_seconds: float = 1.0

    async def read(self) -> float | None:
        """The number of requests; None if it cannot be read. Never raises."""
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
