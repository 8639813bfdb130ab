"""Reads the length of the gateway's queue from its exporter while there is no replica.

Prometheus has the value some seconds later, after a scrape and an evaluation of the rules, which would
prolong a cold start. At zero replicas the autoscaler must not depend on Prometheus, either.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from math import isfinite
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from tidegate.runtime.metrics_text import sample_value

DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class GatewayQueue:
    """Reads the gateway's exporter: while one gateway replaces another, both have a queue.

    Each address of the URL's host is a gateway. The caller closes the session.
    """

    url: str
    session: aiohttp.ClientSession
    timeout_seconds: float = 1.0

    async def read(self) -> float | None:
        """The number of queued requests; None if no gateway's can be read. Never raises."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                urls = await self._urls()
        except (TimeoutError, OSError, ValueError):
            return None
        read = await asyncio.gather(*(self._read(url) for url in urls))
        queues = [one for one in read if one is not None]
        return sum(queues) if queues else None

    async def _urls(self) -> set[str]:
        """The URL with each address of its host."""
        url = urlsplit(self.url)
        port = url.port or DEFAULT_PORTS[url.scheme]
        found = await asyncio.get_running_loop().getaddrinfo(
            url.hostname, port, type=socket.SOCK_STREAM
        )
        return {url._replace(netloc=f"{_host(str(one[4][0]))}:{port}").geturl() for one in found}

    async def _read(self, url: str) -> float | None:
        try:
            async with self.session.get(
                url,
                params={"scope": "backend"},
                headers={"Host": urlsplit(self.url).netloc},
                server_hostname=urlsplit(self.url).hostname,
                timeout=aiohttp.ClientTimeout(total=self.timeout_seconds),
                allow_redirects=False,
            ) as response:
                text = await response.text("utf-8")
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return None
        queued = sample_value(text, "haproxy_backend_current_queue", proxy="model")
        return queued if queued is not None and isfinite(queued) and queued >= 0 else None


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
