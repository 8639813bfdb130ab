"""The gateway follows /ready, and a request survives the death of its replica."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
import signal

import aiohttp
import pytest

from support.eventually import eventually_async
from support.processes.gateway_process import (
    RETRY_AFTER,
    Behind,
    Replica,
    SpawnReplica,
    StartGateway,
    StartReplica,
    post,
    post_for,
)

pytestmark = pytest.mark.integration
IDLE_SECONDS = 60  # HAProxy closes an idle client connection after this


async def test_replicas_that_do_not_run_get_no_requests(
    start_gateway: StartGateway, start_replica: StartReplica
) -> None:
    closed = [await start_replica(start=False) for _ in range(5)]
    running = await start_replica()
    gateway = await start_gateway([replica.address for replica in [*closed, running]])
    await gateway.ready_replicas(1)
    assert [await post(gateway) for _ in range(20)] == [200] * 20
    lines = await gateway.lines(20)
    assert {line["tidegate"]["gateway"]["server"] for line in lines} == {"model6"}
    assert sum(line["tidegate"]["gateway"]["retries"] for line in lines) == 0
    # Requests are counted, not connections.
    assert await gateway.arrived() == 20


async def test_a_replica_that_starts_is_used_after_its_first_successful_check(
    behind: Behind,
) -> None:
    gateway, (_, second) = await behind({}, {"start": False})
    (server,) = re.findall(r"default-server .*", gateway.config.read_text())
    assert "downinter 100ms" in server
    await second.start()

    async def used() -> bool:
        assert await post(gateway) == 200
        return bool(second.requests)

    await eventually_async(used)
    # Once it is up, it is probed every half second: on a slow machine more than once before the next request.
    assert 1 <= second.checks <= 3


async def test_a_draining_replica_gets_no_new_request_and_finishes_its_requests(
    behind: Behind,
) -> None:
    gateway, (draining, _) = await behind({"blocked": True}, {}, slots=8)
    requests = [asyncio.create_task(post(gateway)) for _ in range(4)]
    await eventually_async(lambda: draining.busy > 0)
    draining.ready = False
    await gateway.ready_replicas(1)
    had = len(draining.requests)
    assert [await post(gateway) for _ in range(10)] == [200] * 10
    assert len(draining.requests) == had
    draining.release.set()
    assert await asyncio.gather(*requests) == [200] * 4


async def test_kill_9_of_one_of_two_replicas_under_load_fails_no_request(
    start_gateway: StartGateway, spawn_replica: SpawnReplica
) -> None:
    (doomed, kill), (staying, _) = await spawn_replica(), await spawn_replica()
    gateway = await start_gateway([doomed, staying], slots=2)
    await gateway.ready_replicas(2)
    assert set(await post_for(gateway, 6, 30, {2: kill})) == {200}
    await gateway.ready_replicas(1)


@pytest.mark.parametrize(
    ("failing", "path", "status"),
    [
        ({"status": 503}, "/predict", 200),
        ({"status": 503}, "/v2/models/flights/infer", 200),
        ({"reset": True}, "/predict", 200),
        # A request that is not idempotent is tried once.
        ({"status": 503}, "/feedback", 503),
        # An error of the application is not retried.
        ({"status": 500}, "/predict", 500),
    ],
)
async def test_a_failed_attempt_is_retried_on_another_replica_if_that_is_safe(
    failing: dict[str, int],
    path: str,
    status: int,
    start_gateway: StartGateway,
    start_replica: StartReplica,
) -> None:
    bad = await start_replica(**failing)
    good = await start_replica(start=False)
    gateway = await start_gateway([bad.address, good.address])
    await gateway.ready_replicas(1)
    # The bad replica has a connection, so leastconn would prefer the other: start the other later.
    await good.start()
    await gateway.ready_replicas(2)
    answers = [await post(gateway, path) for _ in range(4)]
    assert bad.requests
    assert set(answers) <= {200, status}
    assert status in answers
    lines = await gateway.lines(4)
    retries = sum(line["tidegate"]["gateway"]["retries"] for line in lines)
    assert (retries > 0) == (status == 200)


async def test_a_retry_sends_the_whole_body(behind: Behind, session: aiohttp.ClientSession) -> None:
    gateway, replicas = await behind(*[{"status": 503}] * 2)
    body = bytes(range(256)) * 512  # 128 KiB, the default of `gateway.repeat_bytes`
    async with session.post(f"{gateway.url}/predict", data=io.BytesIO(body)) as answer:
        assert answer.status == 503
    digests = {hashlib.sha256(got).digest() for replica in replicas for got in replica.bodies}
    assert digests == {hashlib.sha256(body).digest()}
    assert _attempts(replicas) == 6  # the first attempt and five retries


async def test_a_body_too_large_to_hold_is_passed_on_and_repeated_only_if_no_replica_has_begun(
    start_gateway: StartGateway, start_replica: StartReplica, session: aiohttp.ClientSession
) -> None:
    body = b"z" * 200_000
    replica = await start_replica()
    breaking, down = await start_replica(reset=True), await start_replica(start=False)
    gateway = await start_gateway([replica.address, down.address], repeat_bytes=16_384)
    await gateway.ready_replicas(1)
    url = f"{gateway.url}/predict"
    for _ in range(4):
        async with session.post(url, data=io.BytesIO(body)) as answer:
            assert answer.status == 200
    assert replica.bodies == [body] * 4
    broken = await start_gateway([breaking.address, replica.address], repeat_bytes=16_384)
    await broken.ready_replicas(2)
    statuses = []
    for _ in range(2):
        async with session.post(f"{broken.url}/predict", data=io.BytesIO(body)) as answer:
            statuses.append(answer.status)
    assert sorted(statuses) == [200, 502]


@pytest.mark.parametrize("replicas", [1, 3])
async def test_a_request_that_crashes_replicas_reaches_at_most_two(
    replicas: int,
    behind: Behind,
    session: aiohttp.ClientSession,
) -> None:
    gateway, breaking = await behind(*[{"reset": True}] * replicas)
    async with session.post(f"{gateway.url}/predict", data=b"{}") as answer:
        assert answer.status == 502
        assert (await answer.json())["detail"][0]["type"] == "bad_response"
    assert _attempts(breaking) == 2
    (line,) = await gateway.lines(1)
    assert line["http"]["response"]["status_code"] == 502
    assert line["tidegate"]["gateway"]["retries"] == 1


async def test_a_client_that_leaves_or_times_out_is_not_retried_and_marks_no_replica_down(
    behind: Behind, session: aiohttp.ClientSession
) -> None:
    gateway, slow = await behind(*[{"blocked": True}] * 2, response_seconds=0.3)
    leaving = asyncio.create_task(post(gateway))
    await eventually_async(lambda: _attempts(slow) == 1)
    leaving.cancel()
    async with session.post(f"{gateway.url}/predict", data=b"{}") as answer:
        assert answer.status == 504
        assert answer.headers["Retry-After"] in RETRY_AFTER
    await gateway.lines(2)
    assert _attempts(slow) == 2
    for server in ("model1", "model2"):
        assert await gateway.metric("haproxy_server_check_failures_total", server=server) == 0
    assert await gateway.metric("haproxy_backend_active_servers", proxy="model") == 2


async def test_a_graceful_stop_completes_the_requests_in_flight(behind: Behind) -> None:
    gateway, (replica,) = await behind({"blocked": True})
    request = asyncio.create_task(post(gateway))
    await replica.wait_for_requests(1)
    gateway.process.send_signal(signal.SIGUSR1)
    replica.release.set()
    assert await request == 200
    async with asyncio.timeout(IDLE_SECONDS / 2):
        assert await gateway.process.wait() == 0


def _attempts(replicas: list[Replica]) -> int:
    return sum(len(replica.requests) for replica in replicas)
