"""How many requests wait, as the gateway itself says: asked only while there is no replica.

Prometheus knows it too, after a scrape and an evaluation of the rules, some seconds later; whoever
waits for a cold start feels those. And at zero the autoscaler must not depend on Prometheus.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import aiohttp

QUEUE: Final = re.compile(
    rb'^haproxy_backend_current_queue\{proxy="model"\} (\d{1,9}(?:\.\d+)?)$', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class GatewayQueue:
    """Asks the gateway's exporter.

    Attributes:
        url: where its metrics are, as http://HOST:PORT/metrics.
        session: its connections; the caller closes it.
        timeout_seconds: how long the answer may take.
    """

    url: str
    session: aiohttp.ClientSession
    timeout_seconds: float = 1.0

    async def read(self) -> float | None:
        """The number of requests; None if the gateway does not tell. Never an error."""
        try:
            async with self.session.get(
                self.url,
                params={"scope": "backend"},
                timeout=aiohttp.ClientTimeout(total=self.timeout_seconds),
                allow_redirects=False,
            ) as answer:
                found = QUEUE.search(await answer.read())
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return None
        return float(found[1]) if found else None
