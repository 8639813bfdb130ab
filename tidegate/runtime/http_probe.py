"""HTTP probes: whether a component is ready, and the text at one of its URLs.

The response may come from a replica that another party controls, so no redirect is followed and at most
`MAX_BODY_BYTES` of a body are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import aiohttp

from tidegate.os_errors import connection_error_message

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

        async def probe(url: str) -> str:
            try:
                async with (
                    asyncio.timeout(PROBE_SECONDS),
                    session.get(url, allow_redirects=False) as response,
                ):
                    return "" if _successful(response) else f"{url} answers {response.status}"
            except TimeoutError:
                return f"{url} does not answer within {PROBE_SECONDS:g} s"
            except (aiohttp.ClientError, OSError) as error:
                return f"{url} cannot be reached: {connection_error_message(error)}"

        async def fetch(url: str, seconds: float) -> str | None:
            try:
                async with (
                    asyncio.timeout(seconds),
                    session.get(url, allow_redirects=False) as response,
                ):
                    return await _text(response) if _successful(response) else None
            except (TimeoutError, aiohttp.ClientError, OSError, UnicodeDecodeError):
                return None

        yield probe, fetch


def _successful(response: aiohttp.ClientResponse) -> bool:
    return HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES


async def _text(response: aiohttp.ClientResponse) -> str | None:
    """The body as text; None if it is larger than `MAX_BODY_BYTES`.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return body.decode()
