"""A replica that answers errors while the others do not gets no requests for a time."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import orjson
import pytest

from support.eventually import eventually_async
from support.processes.gateway_process import Behind, Gateway, Replica, StartReplica, post
from tidegate.stack.gateway.access_log import access_event

pytestmark = pytest.mark.integration

# Two replicas that get the same number of requests need 12 errors (docs/explanation/gateway.md); more may be
# in progress, and each trial of a replica takes two.
FIRST_ERRORS = 25


async def running(behind: Behind, *statuses: int, **settings: Any) -> tuple[Gateway, list[Replica]]:
    """A gateway and replicas that answer with these statuses, and with 200 at /ready."""
    return await behind(*({"status": status, "seconds": 0.01} for status in statuses), **settings)


async def answers(
    gateway: Gateway,
    number: int,
    *,
    at_once: int = 4,
    path: str = "/predict",
    half: str = "",
) -> dict[int, int]:
    """Send requests, some of them at once; returns how many had each status.

    With `half`, half of the requests go to that path, in random order: in a regular one, replicas that take
    turns get requests of one path each.
    """
    found: dict[int, int] = {}
    paths = [path] * number
    if half:
        paths[::2] = [half] * len(paths[::2])
        random.Random(number).shuffle(paths)

    async def client(requests: int) -> None:
        for _ in range(requests):
            status = await post(gateway, paths.pop())
            found[status] = found.get(status, 0) + 1

    await asyncio.gather(*(client(number // at_once) for _ in range(at_once)))
    return found


async def weight(gateway: Gateway, index: int) -> float:
    return await gateway.metric("haproxy_server_weight", proxy="model", server=f"model{index}")


def events(gateway: Gateway, action: str) -> list[dict[str, Any]]:
    lines = [orjson.loads(line) for line in gateway.output.read_bytes().splitlines()]
    return [line for line in lines if isinstance(line, dict) and line["event"]["action"] == action]


async def ejected(gateway: Gateway) -> None:
    """Send requests until the first replica is ejected."""

    async def has_no_weight() -> bool:
        await answers(gateway, 20)
        return await weight(gateway, 1) == 0

    await eventually_async(has_no_weight)


async def returned(gateway: Gateway) -> None:
    """Wait until the first replica gets requests again."""

    async def has_weight() -> bool:
        return await weight(gateway, 1) == 1

    await eventually_async(has_weight)


async def test_a_replica_that_is_ready_but_answers_500_is_ejected(behind: Behind) -> None:
    gateway, (bad, *_) = await running(behind, 500, 200, 200)
    found = await answers(gateway, 400)
    trials = len(events(gateway, "return"))
    assert 5 <= found[500] <= FIRST_ERRORS + 4 * trials
    assert found[500] + found[200] == 400
    (said, *_) = events(gateway, "eject")
    assert said["tidegate"] == {"component": "model1", "gateway": {"server": "model1"}}
    assert (said["server"]["address"], said["event"]["dataset"]) == (bad.address, "tidegate.stack")
    assert "gets no requests for 5 s" in said["message"]
    # It is an event, as the others are (access_log.py).
    assert access_event(orjson.dumps(said), b"") == orjson.dumps(said) + b"\n"


async def test_requests_that_fail_at_every_replica_eject_nobody(behind: Behind) -> None:
    gateway, replicas = await running(behind, 200, 200)
    for replica in replicas:
        replica.poison = "/poison"
    assert await answers(gateway, 400, half="/poison") == {200: 200, 500: 200}
    assert not events(gateway, "eject")


async def test_a_503_ejects_nobody(behind: Behind) -> None:
    # A replica that drains refuses; this path is not repeated on another one.
    gateway, _ = await running(behind, 503, 200)
    found = await answers(gateway, 200, path="/feedback")
    assert found[503] > 50
    assert not events(gateway, "eject")


async def test_an_ejected_replica_is_counted_by_nobody_and_tried_again(behind: Behind) -> None:
    gateway, (bad, _) = await running(behind, 500, 200)
    await ejected(gateway)
    assert await gateway.metric("haproxy_backend_active_servers", proxy="model") == 1
    bad.status = 200
    await returned(gateway)
    assert await gateway.metric("haproxy_backend_active_servers", proxy="model") == 2
    (said,) = events(gateway, "return")
    assert "is tried again" in said["message"]
    assert await answers(gateway, 40) == {200: 40}
    assert await weight(gateway, 1) == 1


async def test_a_replica_that_is_tried_again_gets_requests_that_wait(behind: Behind) -> None:
    gateway, (bad, other) = await running(behind, 500, 200)
    await ejected(gateway)
    bad.status, other.blocked = 200, True
    requests = [asyncio.create_task(post(gateway)) for _ in range(3)]
    # Nothing else comes that could start the queue, and no slot of the other replica gets free.
    finished, waiting = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
    assert [request.result() for request in finished] == [200]
    other.release.set()
    assert await asyncio.gather(*waiting) == [200, 200]


async def test_the_last_replica_gets_requests_whatever_it_answers(behind: Behind) -> None:
    gateway, (_, other) = await running(behind, 500, 200)
    await ejected(gateway)
    other.ready = False

    async def is_answered_by_it() -> bool:
        return await post(gateway) == 500

    await eventually_async(is_answered_by_it)
    assert await weight(gateway, 1) == 1
    assert "too few others are left" in events(gateway, "return")[-1]["message"]


async def test_a_server_with_another_address_is_another_replica(
    start_replica: StartReplica, behind: Behind
) -> None:
    new = await start_replica()
    gateway, _ = await running(behind, 500, 200)
    await ejected(gateway)
    await gateway.admin.use(1, "127.0.0.1", new.port)
    await returned(gateway)
    assert "another replica" in events(gateway, "return")[-1]["message"]

    async def used() -> bool:
        return await post(gateway) == 200 and bool(new.requests)

    await eventually_async(used)


async def test_an_ejection_and_what_the_supervisor_sets_do_not_undo_each_other(
    behind: Behind,
) -> None:
    gateway, (bad, _) = await running(behind, 500, 200, max_slots=4)
    admin = gateway.admin
    await admin.set_limit([1, 2], 3)
    await ejected(gateway)
    await admin.remove(1)
    # Its ejection is over, and it still gets none.
    await returned(gateway)
    had = len(bad.requests)
    assert await answers(gateway, 40) == {200: 40}
    assert len(bad.requests) == had
    bad.status = 200
    await admin.enable(1)
    await gateway.ready_replicas(2)
    assert await admin.limits() == {1: 3, 2: 3}


async def test_ejection_can_be_switched_off(behind: Behind) -> None:
    gateway, _ = await running(behind, 500, 200, ejection=False)
    found = await answers(gateway, 200)
    assert found[500] > FIRST_ERRORS
    assert await weight(gateway, 1) == 1
