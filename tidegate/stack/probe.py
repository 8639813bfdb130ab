"""Asking a program over HTTP whether it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp

Probe = Callable[[str], Awaitable[str]]
"""Asks a URL. Returns why it is not ready, in words; empty if it is."""

Fetch = Callable[[str, float], Awaitable[str | None]]
"""The text at a URL, within so many seconds; None if it cannot be had."""

# A replica whose cores are busy still answers within this; one that is stopped does not.
PROBE_SECONDS = 2.0


@asynccontextmanager
async def asking() -> AsyncIterator[tuple[Probe, Fetch]]:
    """A probe and a fetch that share one session.

    Connections are not kept: an idle one would hold up a replica that drains.
    """
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:

        async def probe(url: str) -> str:
            try:
                async with asyncio.timeout(PROBE_SECONDS), session.get(url) as answer:
                    return "" if answer.ok else f"{url} answers {answer.status}"
            except TimeoutError:
                return f"{url} does not answer within {PROBE_SECONDS:g} s"
            except (aiohttp.ClientError, OSError) as error:
                return f"{url}: {error}"

        async def fetch(url: str, seconds: float) -> str | None:
            try:
                async with asyncio.timeout(seconds), session.get(url) as answer:
                    return await answer.text() if answer.ok else None
            except (TimeoutError, aiohttp.ClientError, OSError, UnicodeDecodeError):
                return None

        yield probe, fetch
