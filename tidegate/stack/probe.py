"""Asking a program over HTTP whether it is ready.

The answer may come from a replica that somebody else controls: no redirect is followed, and at most
`MOST_BYTES` of a body are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import aiohttp

from tidegate.os_errors import unreachable

Probe = Callable[[str], Awaitable[str]]
"""Asks a URL. Returns why it is not ready, in words; empty if it is."""

Fetch = Callable[[str, float], Awaitable[str | None]]
"""The text at a URL, within so many seconds; None if it cannot be had."""

# A replica whose cores are busy still answers within this; one that is stopped does not.
PROBE_SECONDS: Final = 2.0
# HAProxy's exporter with 64 servers writes 0.5 MB, a replica 50 kB.
MOST_BYTES: Final = 4 * 2**20
# A compressed answer could become any size once it is unpacked.
PLAIN: Final = {"Accept-Encoding": "identity"}


@asynccontextmanager
async def asking() -> AsyncIterator[tuple[Probe, Fetch]]:
    """A probe and a fetch that share one session.

    Connections are not kept: an idle one would hold up a replica that drains.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        trust_env=False,
        headers=PLAIN,
        auto_decompress=False,
    ) as session:

        async def probe(url: str) -> str:
            try:
                async with (
                    asyncio.timeout(PROBE_SECONDS),
                    session.get(url, allow_redirects=False) as answer,
                ):
                    return "" if _successful(answer) else f"{url} answers {answer.status}"
            except TimeoutError:
                return f"{url} does not answer within {PROBE_SECONDS:g} s"
            except (aiohttp.ClientError, OSError) as error:
                return f"{url} cannot be reached: {unreachable(error)}"

        async def fetch(url: str, seconds: float) -> str | None:
            try:
                async with (
                    asyncio.timeout(seconds),
                    session.get(url, allow_redirects=False) as answer,
                ):
                    return await _text(answer) if _successful(answer) else None
            except (TimeoutError, aiohttp.ClientError, OSError, UnicodeDecodeError):
                return None

        yield probe, fetch


def _successful(answer: aiohttp.ClientResponse) -> bool:
    return HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES


async def _text(answer: aiohttp.ClientResponse) -> str | None:
    """The body as text; None if it is larger than `MOST_BYTES`.

    Raises:
        UnicodeDecodeError: it is no UTF-8.
    """
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            return None
    return body.decode()
