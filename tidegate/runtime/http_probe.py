"""HTTP probes: whether a component is ready, and the text at one of its URLs.

The response may come from a replica that another party controls, so no redirect is followed and at most
`MAX_BODY_BYTES` of a body are read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import aiohttp

from tidegate.runtime.http_client import HttpClient, HttpError

Probe = Callable[[str], Awaitable[str]]
"""Requests a URL. Returns why it is not ready, as a sentence; empty if it is."""

Fetch = Callable[[str, float], Awaitable[str | None]]
"""Requests a URL with a timeout in seconds. Returns the text; None if there is none."""

# A busy replica responds within this; a stopped one does not.
PROBE_SECONDS: Final = 2.0
# HAProxy's exporter with 64 servers writes 0.5 MB, a replica 50 kB.
MAX_BODY_BYTES: Final = 4 * 2**20
# A compressed body has no bounded size once it is decompressed.
NO_COMPRESSION: Final = {"Accept-Encoding": "identity"}


@asynccontextmanager
async def probe_session() -> AsyncIterator[tuple[Probe, Fetch]]:
    """A probe and a fetch that share one session.

    Connections are not kept alive: an idle one would delay a replica that drains.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        trust_env=False,
        headers=NO_COMPRESSION,
        auto_decompress=False,
    ) as session:

        async def get(url: str, seconds: float, *, read: bool = True) -> bytes:
            client = HttpClient(session, url, seconds=seconds, max_bytes=MAX_BODY_BYTES)
            return await client.call("GET", "", read=read)

        async def probe(url: str) -> str:
            try:
                # Of a component that is ready the status is enough: its body may be slow or have no end.
                await get(url, PROBE_SECONDS, read=False)
            except HttpError as error:
                return str(error)
            return ""

        async def fetch(url: str, seconds: float) -> str | None:
            with suppress(HttpError, UnicodeDecodeError):
                return (await get(url, seconds)).decode()
            return None

        yield probe, fetch
