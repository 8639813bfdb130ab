"""The gateway has one central queue, and sends a replica one request per slot."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from support.processes.gateway_process import Behind, post

pytestmark = pytest.mark.integration


async def test_a_replica_gets_no_more_concurrent_requests_than_it_has_slots(behind: Behind) -> None:
    gateway, replicas = await behind(*[{"seconds": 0.03}] * 2, slots=2)
    answers = await asyncio.gather(*(post(gateway) for _ in range(24)))
    assert answers == [200] * 24
    assert [replica.max_busy for replica in replicas] == [2, 2]
    assert await gateway.metric("haproxy_backend_max_queue", proxy="model") >= 16


async def test_a_request_is_counted_and_stamped_when_it_arrives_not_when_it_leaves_the_queue(
    behind: Behind,
) -> None:
    gateway, (replica,) = await behind({"blocked": True}, slots=1)
    first = asyncio.create_task(post(gateway))
    await replica.wait_for_requests(1)
    before = time.time_ns() // 1000
    second = asyncio.create_task(post(gateway))
    await gateway.queued(1)
    after = time.time_ns() // 1000
    # haproxy_backend_http_requests_total counts requests only after their response.
    assert await gateway.arrived() == 2
    replica.release.set()
    assert [await first, await second] == [200, 200]
    assert await gateway.arrived() == 2
    assert await gateway.metric("haproxy_backend_current_queue", proxy="model") == 0
    stamp = replica.requests[1].headers["X-Request-Start"]
    # HAProxy reads the clock once per round of its event loop.
    assert before - 20_000 <= int(stamp.removeprefix("t=")) <= after


async def test_a_client_cannot_forge_the_arrival_stamp_or_its_address(
    behind: Behind, session: aiohttp.ClientSession
) -> None:
    gateway, (replica,) = await behind({})
    forged = [
        ("X-Request-Start", "t=1"),
        ("X-Request-Start", "t=2"),
        ("X-Forwarded-For", "6.6.6.6"),
    ]
    async with session.post(f"{gateway.url}/predict", data=b"{}", headers=forged) as answer:
        assert answer.status == 200
    headers = replica.requests[0].headers
    (stamp,) = headers.getall("X-Request-Start")
    assert abs(int(stamp.removeprefix("t=")) / 1e6 - time.time()) < 5
    assert headers.getall("X-Forwarded-For") == ["127.0.0.1"]


async def test_a_request_whose_client_leaves_the_queue_is_not_served(behind: Behind) -> None:
    gateway, (replica,) = await behind({"blocked": True}, slots=1)
    working = asyncio.create_task(post(gateway))
    await replica.wait_for_requests(1)
    leaving = asyncio.create_task(post(gateway))
    await gateway.queued(1)
    leaving.cancel()
    await gateway.queued(0)
    replica.release.set()
    assert await working == 200
    assert len(replica.requests) == 1
