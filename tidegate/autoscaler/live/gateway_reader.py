"""Reads the gateway's counters from its exporter: what has arrived, and what waits.

Prometheus has them some seconds later, after a scrape and an evaluation of the rules, which would prolong a
cold start and a queue. At zero replicas the autoscaler must not depend on Prometheus, either.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from tidegate.autoscaler.gateway_signals import GatewayRead
from tidegate.runtime.metrics_text import sample_value

# A name server is asked again after this time, however often is read, or when an address does not answer.
ADDRESS_SECONDS: Final = 5.0
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# What arrived, counted at its arrival as in `service:arrival_rate`, and what waits.
NAMES: Final = ("haproxy_backend_sessions_total", "haproxy_backend_current_queue")


@dataclass(slots=True)
class GatewayReader:
    """Reads the gateway's exporter: while one gateway replaces another, both have a queue.

    Each address of the URL's host is a gateway. The caller closes the session.
    """

    url: str
    session: aiohttp.ClientSession
    timeout_seconds: float = 1.0
    clock: Callable[[], float] = time.monotonic
    _urls: set[str] = field(default_factory=set, init=False)
    _found_at: float = field(default=0.0, init=False)
    _arrived: dict[str, float] = field(default_factory=dict, init=False)
    _read_at: float = field(default=0.0, init=False)

    async def read(self) -> GatewayRead | None:
        """What the gateways have counted since the last read; None if none can be read. Never raises.

        No time has passed where the gateways are others than at the last read, or one was restarted.
        """
        if not (found := bool(self._urls)):
            try:
                async with asyncio.timeout(self.timeout_seconds):
                    self._urls = await self._find_urls()
            except (TimeoutError, OSError, ValueError):
                return None
        counts = await asyncio.gather(*(self._read(url) for url in self._urls))
        read = {url: count for url, count in zip(self._urls, counts, strict=True) if count}
        now = self.clock()
        self._found_at = self._found_at if found else now
        if len(read) < len(counts) or now - self._found_at >= ADDRESS_SECONDS:
            self._urls = set()
        if not read:
            return None
        before, since = self._arrived, self._read_at
        self._read_at, self._arrived = now, {url: arrived for url, (arrived, _) in read.items()}
        queued = sum(waiting for _, waiting in read.values())
        if before.keys() != read.keys() or any(self._arrived[url] < before[url] for url in before):
            return GatewayRead(0.0, 0.0, queued)
        arrivals = sum(self._arrived.values()) - sum(before.values())
        return GatewayRead(now - since, arrivals, queued)

    async def _find_urls(self) -> set[str]:
        """The URL with each address of its host."""
        url = urlsplit(self.url)
        port = url.port or DEFAULT_PORTS[url.scheme]
        found = await asyncio.get_running_loop().getaddrinfo(
            url.hostname, port, type=socket.SOCK_STREAM
        )
        return {url._replace(netloc=f"{_host(str(one[4][0]))}:{port}").geturl() for one in found}

    async def _read(self, url: str) -> tuple[float, float] | None:
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
        arrived, queued = (sample_value(text, name, proxy="model") for name in NAMES)
        if arrived is None or queued is None or min(arrived, queued) < 0:
            return None
        return (arrived, queued) if isfinite(arrived + queued) else None


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
