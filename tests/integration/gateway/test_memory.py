"""Requests use no more memory of HAProxy than the settings allow."""

from __future__ import annotations

import asyncio
import contextlib
import resource

import psutil
import pytest

from support.eventually import eventually_async
from support.processes.gateway_process import Behind, Gateway, StartGateway, post
from tidegate.settings import Settings
from tidegate.stack.gateway.configuration import CONNECTIONS, buffer_bytes, memory_bytes

pytestmark = pytest.mark.integration

BODY = b"z" * 131_072  # as in Docker Compose
FULL_BODIES = 1024  # in the default `gateway.queue_bytes`
AT_ONCE = 64
FILES = 3 * CONNECTIONS
# In addition to the waiting bodies: HAProxy, its connections, and the refused requests.
HAPROXY_BYTES = 64 * 2**20
KEPT = 150  # connections


@pytest.fixture(autouse=True)
def many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        pytest.skip(f"{FILES} open files are needed, and the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))


async def test_full_bodies_on_every_connection_stay_within_the_memory_bound(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway([], request_bytes=len(BODY), queue_length=1500)
    sending = asyncio.Semaphore(AT_ONCE)
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    refused = 0

    async def client() -> None:
        nonlocal refused
        async with sending:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            stack.callback(writer.close)
            writer.write(head)
            writer.write(BODY)
            await writer.drain()
        if (await reader.readline()).split()[1:2] == [b"503"]:
            refused += 1

    async def all_are_in() -> bool:
        return refused == CONNECTIONS - FULL_BODIES

    async with contextlib.AsyncExitStack() as stack:
        clients = [asyncio.create_task(client()) for _ in range(CONNECTIONS)]
        await eventually_async(all_are_in)
        await gateway.queued(FULL_BODIES)
        used = rss(gateway)
        for one in clients:
            one.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    settings = Settings.model_validate({"gateway": {"request_bytes": len(BODY)}})
    bound = FULL_BODIES * buffer_bytes(settings) + HAPROXY_BYTES
    assert FULL_BODIES * len(BODY) < used < bound < memory_bytes(settings)


async def test_small_requests_on_kept_connections_hold_small_buffers(behind: Behind) -> None:
    gateway, _ = await behind({"seconds": 0.01}, slots=8)
    before = rss(gateway)

    async def client() -> list[int]:
        return [await post(gateway) for _ in range(8)]

    answers = await asyncio.gather(*(client() for _ in range(KEPT)))
    assert answers == [[200] * 8] * KEPT
    # A buffer of a waiting request may keep the memory of a copy for a retry: a whole one.
    settings = Settings()
    assert settings.gateway.request_bytes > 4 * settings.gateway.held_bytes
    assert rss(gateway) - before < 1.5 * KEPT * buffer_bytes(settings) < KEPT * 262_144


def rss(gateway: Gateway) -> int:
    """The resident memory of HAProxy, in bytes."""
    return int(psutil.Process(gateway.process.pid).memory_info().rss)
