"""While no replica is up, requests wait in the gateway: in order, limited, and none is lost."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import time

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.processes.gateway_process import (
    RETRY_AFTER,
    Behind,
    Gateway,
    SpawnReplica,
    StartGateway,
    StartReplica,
    post,
    post_for,
)
from tidegate.autoscaler.gateway_signals import GatewayRead
from tidegate.autoscaler.live.gateway_reader import GatewayReader

pytestmark = pytest.mark.integration


async def send(gateway: Gateway, number: int, path: str = "/predict") -> int:
    """Send a request with its number as its body."""
    async with gateway.session.post(gateway.url + path, data=str(number)) as answer:
        await answer.read()
        return answer.status


async def test_nobody_else_can_take_the_connections_of_the_plug(behind: Behind) -> None:
    gateway, _ = await behind({})
    await gateway.wait_until_queueing()
    sockets = {
        path.name: path.stat().st_mode & 0o777 for path in gateway.config.parent.glob("*.sock")
    }
    assert sockets == dict.fromkeys(("admin.sock", "plug.sock", "waiting.sock"), 0o600)
    assert "abns@" not in gateway.config.read_text()


async def test_requests_without_a_replica_wait_and_are_served_in_order_when_one_starts(
    behind: Behind,
) -> None:
    gateway, (replica,) = await behind({"start": False}, slots=1)
    assert await gateway.arrived() == 0
    requests = []
    for number in range(8):
        # A request that must not be retried waits, too: no replica has received it.
        path = "/feedback" if number % 2 else "/predict"
        requests.append(asyncio.create_task(send(gateway, number, path)))
        await gateway.queued(number + 1)
    assert not any(request.done() for request in requests)
    assert await gateway.arrived() == 8
    assert await gateway.metric("haproxy_backend_active_servers", proxy="model") == 0
    waiting = time.time_ns() // 1000
    await replica.start()
    assert await asyncio.gather(*requests) == [200] * 8
    assert replica.bodies == [str(number).encode() for number in range(8)]
    stamps = [request.headers["X-Request-Start"] for request in replica.requests]
    assert all(int(stamp.removeprefix("t=")) <= waiting for stamp in stamps)
    lines = await gateway.lines(8)
    assert [line["tidegate"]["gateway"]["retries"] for line in lines] == [0] * 8
    assert all(line["tidegate"]["gateway"]["queue_ns"] > 0 for line in lines)


async def test_the_autoscaler_reads_what_arrives_and_what_waits_from_the_gateway(
    behind: Behind, session: aiohttp.ClientSession
) -> None:
    gateway, (replica,) = await behind({"start": False})
    times = itertools.count(10.0, 0.5)
    reader = GatewayReader(
        f"http://127.0.0.1:{gateway.metrics_port}/metrics", session, clock=lambda: next(times)
    )
    assert await reader.read() == GatewayRead(0.0, 0.0, 0.0)
    requests = [asyncio.create_task(post(gateway)) for _ in range(2)]
    await gateway.queued(2)
    # Counted when they arrive, not when they are answered.
    assert await reader.read() == GatewayRead(0.5, 2.0, 2.0)
    await replica.start()
    assert await asyncio.gather(*requests) == [200, 200]
    assert await reader.read() == GatewayRead(0.5, 0.0, 0.0)
    nobody = GatewayReader(f"http://{replica.address}/metrics", session)
    assert await nobody.read() is None
    await replica.stop()
    assert await nobody.read() is None


async def test_the_autoscaler_adds_the_counters_of_all_gateways_behind_the_name(
    behind: Behind,
    session: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway, (replica,) = await behind({"start": False})
    request = asyncio.create_task(post(gateway))
    await gateway.queued(1)
    counts = [1_000_000.0, 1_000_050.0, 7.0, 9.0]

    async def another_gateway(_: web.Request) -> web.Response:
        return web.Response(
            text='haproxy_backend_current_queue{proxy="model"} 3\n'
            f'haproxy_backend_sessions_total{{proxy="model"}} {counts.pop(0)}\n'
        )

    another = TestServer(web.Application(), host="127.0.0.2", port=gateway.metrics_port)
    another.app.router.add_get("/metrics", another_gateway)
    addresses, asked = ["127.0.0.1"], 0

    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        nonlocal asked
        asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (one, 0)) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    often = [10.0 + number / 8 for number in range(40)]
    times = itertools.chain(often, itertools.count(15.0, 0.5))
    reader = GatewayReader(
        f"http://gateway-pods:{gateway.metrics_port}/metrics", session, clock=lambda: next(times)
    )
    assert await reader.read() == GatewayRead(0.0, 0.0, 1.0)
    addresses += ["127.0.0.2", "127.0.0.3"]  # at the last nobody listens
    # The name server is asked again after 5 s, however often the gateways are read.
    assert {await reader.read() for _ in often} == {GatewayRead(0.125, 0.0, 1.0)}
    assert asked == 1
    async with another:
        # A million requests that another gateway had before are no jump.
        assert await reader.read() == GatewayRead(0.0, 0.0, 4.0)
        assert await reader.read() == GatewayRead(0.5, 50.0, 4.0)
        # It was restarted.
        assert await reader.read() == GatewayRead(0.0, 0.0, 4.0)
        assert await reader.read() == GatewayRead(0.5, 2.0, 4.0)
    # It is gone.
    assert await reader.read() == GatewayRead(0.0, 0.0, 1.0)
    await replica.start()
    assert await request == 200


async def test_a_request_that_waits_too_long_for_a_replica_gets_a_503_with_retry_after(
    behind: Behind, session: aiohttp.ClientSession
) -> None:
    gateway, _ = await behind({"start": False}, queue_seconds=0.3)
    await gateway.wait_until_queueing()
    async with session.post(f"{gateway.url}/predict", data=b"{}") as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] in RETRY_AFTER
        assert (await answer.json())["detail"][0]["type"] == "no_replica"
    (line,) = await gateway.lines(1)
    fields = line["tidegate"]["gateway"]
    assert (
        fields["server"],
        fields["retries"],
        fields["termination_state"],
    ) == ("<NOSRV>", 0, "sQ--")
    assert fields["queue_ns"] >= 300e6


@pytest.mark.parametrize("path", ["/live", "/ready", "/v2/health/live", "/v2/health/ready"])
async def test_a_health_probe_gets_a_503_at_once_if_no_replica_is_up(
    path: str,
    behind: Behind,
    session: aiohttp.ClientSession,
) -> None:
    gateway, (replica,) = await behind({"start": False})
    await gateway.wait_until_queueing()
    async with session.get(gateway.url + path) as answer:
        assert answer.status == 503
        assert (await answer.json())["detail"][0]["type"] == "no_replica"
    await replica.start()
    await gateway.ready_replicas(1)
    async with session.get(gateway.url + path) as answer:
        assert answer.status == 200


async def test_kill_9_of_the_only_replica_under_load_fails_no_request(
    start_gateway: StartGateway, spawn_replica: SpawnReplica, start_replica: StartReplica
) -> None:
    doomed, kill = await spawn_replica()
    after = await start_replica(start=False, seconds=0.06)
    gateway = await start_gateway([doomed, after.address], slots=2)
    await gateway.ready_replicas(1)

    async def replace() -> None:
        await gateway.ready_replicas(0)
        await after.start()

    assert set(await post_for(gateway, 4, 25, {1: kill, 3: replace})) == {200}


async def test_a_graceful_stop_without_a_replica_answers_the_waiting_requests(
    behind: Behind,
) -> None:
    gateway, _ = await behind({"start": False})
    await gateway.wait_until_queueing()
    request = asyncio.create_task(post(gateway))
    await gateway.queued(1)
    gateway.process.send_signal(signal.SIGUSR1)
    # No replica will start any more.
    assert await request == 503
    async with asyncio.timeout(30):
        assert await gateway.process.wait() == 0
