"""In overload the gateway refuses at once what would wait too long, and answers the rest in time."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta

import aiohttp
import pytest

from support.eventually import eventually_async
from support.processes.gateway_process import (
    Behind,
    Gateway,
    Replica,
    post,
    post_for,
)

pytestmark = pytest.mark.integration

# A replica of two slots answers 100 requests a second at most, so 15 take one and a half objectives.
OBJECTIVE_SECONDS = 0.1
SLOT_SECONDS = 0.02


async def overloaded(
    behind: Behind,
    *,
    max_replicas: int = 1,
    seconds: float = SLOT_SECONDS,
    objective_seconds: float = OBJECTIVE_SECONDS,
    measured: int = 10,
) -> tuple[Gateway, Replica]:
    """A gateway that has measured how fast its only replica answers."""
    gateway, (replica,) = await behind(
        {"seconds": seconds}, max_replicas=max_replicas, latency_seconds=objective_seconds
    )
    assert set(await asyncio.gather(*(post(gateway) for _ in range(measured)))) == {200}
    return gateway, replica


async def one_left(
    behind: Behind,
    *,
    of: int,
    seconds: float,
    measured: int,
) -> Gateway:
    """A gateway that has measured how fast all of its replicas answer, of which one remains."""
    gateway, replicas = await behind(
        *[{"seconds": seconds}] * of, max_replicas=of, latency_seconds=OBJECTIVE_SECONDS
    )
    assert set(await asyncio.gather(*(post(gateway) for _ in range(measured)))) == {200}
    for replica in replicas[1:]:
        await replica.stop()
    await gateway.ready_replicas(1)
    return gateway


async def test_with_all_replicas_what_would_wait_too_long_is_refused_at_once(
    behind: Behind, session: aiohttp.ClientSession
) -> None:
    # 200 requests within three seconds are more than the 20 a second that it answers.
    gateway, replica = await overloaded(behind, seconds=0.1)
    arrived = await gateway.arrived()
    retry_after = set[str | None]()

    async def send() -> int:
        async with session.post(f"{gateway.url}/predict", data=b"{}") as answer:
            if answer.status == 503:
                retry_after.add(answer.headers["Retry-After"])
                assert (await answer.json())["detail"][0]["type"] == "overloaded"
            return answer.status

    async def probe() -> int:
        async with session.get(f"{gateway.url}/ready") as answer:
            return answer.status

    answers = await asyncio.gather(*(send() for _ in range(200)), probe())
    # A probe asks whether replicas answer, and they do.
    assert answers.pop() == 200
    refused = answers.count(503)
    # Every slot has a request, and a few wait.
    assert 4 < answers.count(200) == 200 - refused < 100
    assert replica.max_busy == 2
    # What waits is gone in three seconds; spread, so that clients do not come back together.
    assert len(retry_after) > 2
    assert retry_after <= {"1", "2", "3", "4", "5"}
    # The autoscaler and the alert see all of them.
    assert await gateway.arrived() == arrived + 201
    assert await gateway.refused() == refused
    lines = await gateway.lines(10 + 200)
    reasons = [line["event"]["reason"] for line in lines]
    assert reasons.count("overload") == refused
    assert reasons.count(None) == len(lines) - refused


async def test_a_burst_at_a_low_load_refuses_nobody(behind: Behind) -> None:
    # Within a second more arrives than the 10 that it answers, but not within three seconds.
    gateway, _ = await overloaded(behind, seconds=0.2, measured=4)
    assert set(await asyncio.gather(*(post(gateway) for _ in range(12)))) == {200}


async def test_chance_at_a_service_of_few_requests_refuses_nobody(behind: Behind) -> None:
    # Within three seconds it is more than the 5 a second that it answers, but not within five objectives.
    gateway, _ = await overloaded(behind, seconds=0.4, objective_seconds=2.0)
    assert set(await asyncio.gather(*(post(gateway) for _ in range(25)))) == {200}


async def test_while_more_replicas_can_come_requests_wait(behind: Behind) -> None:
    gateway, _ = await overloaded(behind, max_replicas=2)
    assert set(await asyncio.gather(*(post(gateway) for _ in range(200)))) == {200}


async def test_while_replicas_start_their_rate_counts_and_not_that_of_the_one_that_is_up(
    behind: Behind,
) -> None:
    # The only replica answers 20 requests in six seconds, and all of them 200.
    starting = [{"seconds": 0.3, "start": False}] * 9
    settings = {"slots": 1, "max_replicas": 10, "queue_seconds": 6.0}
    gateway, replicas = await behind({"seconds": 0.3}, *starting, **settings)
    assert set(await asyncio.gather(*(post(gateway) for _ in range(4)))) == {200}
    waiting = [asyncio.create_task(post(gateway)) for _ in range(60)]

    async def all_have_arrived() -> bool:
        return await gateway.arrived() == 64

    await eventually_async(all_have_arrived)
    for replica in replicas[1:]:
        await replica.start()
    assert set(await asyncio.gather(*waiting)) == {200}


async def test_of_replicas_that_did_not_come_in_the_time_of_a_start_none_is_expected(
    behind: Behind,
) -> None:
    # It answers 20 a second; 20 that wait would take a second.
    gateway, _ = await behind(
        {"seconds": 0.1}, max_replicas=2, latency_seconds=0.5, start_seconds=1.0
    )
    await post_for(gateway, 5, 40, {})
    lines = await gateway.lines(200)
    starts = {
        reason: min(
            datetime.fromisoformat(line["event"]["start"])
            for line in lines
            if line["event"]["reason"] == reason
        )
        for reason in (None, "overload")
    }
    assert starts["overload"] - starts[None] > timedelta(seconds=1)


async def test_under_constant_overload_what_is_accepted_can_meet_the_objective(
    behind: Behind,
) -> None:
    gateway, _ = await overloaded(behind, seconds=0.1, objective_seconds=0.6)
    queued = []

    async def look() -> None:
        queued.append(await gateway.metric("haproxy_backend_current_queue", proxy="model"))

    answers = await post_for(gateway, 6, 60, dict.fromkeys((4, 5), look))
    assert 503 in answers
    # It answers at most 20 a second, and two of them are at the replica.
    assert 2 <= max(queued) < 10


async def test_while_a_replica_is_missing_for_a_moment_what_waits_too_long_is_refused(
    behind: Behind,
) -> None:
    gateway = await one_left(behind, of=2, seconds=0.1, measured=20)
    assert 503 in await asyncio.gather(*(post(gateway) for _ in range(200)))


async def test_fewer_replicas_than_the_maximum_refuse_nobody_whom_the_maximum_can_serve(
    behind: Behind,
) -> None:
    gateway = await one_left(behind, of=3, seconds=0.2, measured=12)
    # Within three seconds they are more than the 10 a second of one replica, and less than the 30 of all.
    assert set(await asyncio.gather(*(post(gateway) for _ in range(36)))) == {200}


async def test_after_a_moment_in_which_replicas_were_slow_nobody_is_refused(behind: Behind) -> None:
    # Within three seconds more arrives than the 4 a second of the slow moment, less than the 20 before it.
    gateway, replica = await overloaded(behind, seconds=0.1)
    replica.seconds = 0.5
    assert set(await asyncio.gather(*(post(gateway) for _ in range(10)))) == {200}
    replica.seconds = 0.1
    assert set(await asyncio.gather(*(post(gateway) for _ in range(20)))) == {200}


async def test_a_long_queue_that_becomes_shorter_refuses_nobody(behind: Behind) -> None:
    gateway, _ = await behind({"seconds": 0.1}, max_replicas=1, latency_seconds=OBJECTIVE_SECONDS)
    # Until the first of them is answered, nothing is measured.
    waiting = [asyncio.create_task(post(gateway)) for _ in range(100)]
    await gateway.queued(98)

    async def nothing_arrives() -> bool:
        # The average of arrivals over three seconds is below the 20 a second that are answered.
        return await gateway.metric("haproxy_backend_current_queue", proxy="model") < 7

    await eventually_async(nothing_arrives)
    # It is answered after far more than an objective and a half.
    assert await post(gateway) == 200
    assert set(await asyncio.gather(*waiting)) == {200}


async def test_a_replica_that_becomes_fast_again_gets_more_requests(behind: Behind) -> None:
    # 40 requests within three seconds are more than the 8 a second that it answers at first.
    gateway, replica = await overloaded(behind, seconds=0.25, objective_seconds=0.4)

    async def all_are_accepted() -> bool:
        return set(await asyncio.gather(*(post(gateway) for _ in range(40)))) == {200}

    assert not await all_are_accepted()
    replica.seconds = SLOT_SECONDS
    # Less often than each three seconds, as the tries themselves would be an overload.
    await eventually_async(all_are_accepted, every=3.0)


async def test_after_a_change_of_slots_one_request_for_each_remaining_slot_may_always_wait(
    behind: Behind,
) -> None:
    # With a queue of two seconds at most, a burst of more than 24 is not gone in time.
    settings = {"slots": 60, "max_slots": 60, "max_replicas": 1, "queue_seconds": 2.0}
    gateway, _ = await behind({"seconds": 0.1}, **settings, latency_seconds=OBJECTIVE_SECONDS)
    await gateway.admin.set_limit([1], 2)
    assert set(await asyncio.gather(*(post(gateway) for _ in range(10)))) == {200}
    await asyncio.gather(*(post(gateway) for _ in range(50)))
    assert "overload" in [line["event"]["reason"] for line in await gateway.lines(60)]


async def test_idle_connections_do_not_use_up_all_of_them(
    behind: Behind,
    monkeypatch: pytest.MonkeyPatch,
    session: aiohttp.ClientSession,
) -> None:
    monkeypatch.setattr("tidegate.stack.gateway.configuration.CONNECTIONS", 8)
    gateway, _ = await behind({})

    async def closes() -> bool:
        async with session.post(f"{gateway.url}/predict", data=b"{}") as answer:
            assert answer.status == 200
            return answer.headers.get("Connection") == "close"

    assert not await closes()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            stack.callback(writer.close)

        async def more_than_half() -> bool:
            return await gateway.metric("haproxy_frontend_current_sessions", proxy="http_in") >= 5

        await eventually_async(more_than_half)
        assert await closes()
