"""The runtime API changes the slots of a running gateway; the configuration has those of its start."""

from __future__ import annotations

import asyncio
import stat

import pytest

from support.processes.gateway_process import StartGateway, StartReplica, post
from tidegate.stack.gateway.runtime_api import (
    GatewayUnavailableError,
    RuntimeApiError,
    Server,
)

pytestmark = pytest.mark.integration


async def test_a_higher_limit_applies_at_once_and_a_lower_one_as_requests_end(
    start_gateway: StartGateway, start_replica: StartReplica
) -> None:
    replica = await start_replica(blocked=True)
    gateway = await start_gateway([replica.address, "127.0.0.1:1"], slots=2, max_slots=4)
    admin = gateway.admin
    await gateway.ready_replicas(1)
    assert await admin.limits() == {1: 2, 2: 2}
    requests = [asyncio.create_task(post(gateway)) for _ in range(12)]
    await replica.wait_for_requests(2)
    await gateway.queued(10)

    await admin.set_limit([1], 4)
    await replica.wait_for_requests(4)
    await gateway.queued(8)
    assert replica.busy == 4
    assert await admin.servers() == {1: Server(4, 4, is_up=True), 2: Server(2, 0, is_up=False)}

    # Requests in flight continue; later ones get two slots.
    await admin.set_limit([1, 2], 2)
    replica.seconds, replica.max_busy, replica.blocked = 0.03, 0, False
    before = len(replica.requests)
    replica.release.set()
    assert await asyncio.gather(*requests) == [200] * 12
    assert len(replica.requests) == before + 8
    assert replica.max_busy <= 2
    assert await admin.limits() == {1: 2, 2: 2}


async def test_an_unknown_server_and_a_stopped_gateway_are_reported(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(["127.0.0.1:1"], max_slots=4)
    admin = gateway.admin
    with pytest.raises(RuntimeApiError, match=r"HAProxy refuses .*model7 3`: No such server"):
        await admin.set_limit([1, 7], 3)
    assert await admin.limits() == {1: 3}
    await admin.set_limit([], 3)
    # Only its owner can open the socket.
    assert stat.S_IMODE(admin.path.stat().st_mode) == 0o600
    await gateway.stop()
    with pytest.raises(GatewayUnavailableError, match="cannot be reached"):
        await admin.limits()
