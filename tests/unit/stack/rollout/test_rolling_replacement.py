"""A rolling replacement of real processes: never one replica less, and back if the new one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.ports import free_ports
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Probe
from tidegate.stack.processes.process_supervisor import Keeper, Program
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replicas import Occupant, ReplicaPool, gateway_sees, plan
from tidegate.stack.rollout.rolling_replacement import Rollout

LIMIT = 3
OLD, NEW = Release(path=Path("old")), Release(path=Path("new"), name="flights", version="2")
BAD, LATER_BAD = Release(path=Path("bad")), Release(path=Path("later-bad"))
READY, STARTING = Occupant("ready", 0), Occupant("starting", 5)
ALSO_OLD = Occupant("ready", 0, current=False)
Server = Callable[..., Program]
Eventually = Callable[..., Coroutine[None, None, None]]


@pytest.mark.parametrize(
    ("slots", "desired", "surge", "expected"),
    [
        pytest.param({1: ALSO_OLD}, 1, 1, ([2], []), id="one more, before one less"),
        pytest.param({1: ALSO_OLD, 2: READY}, 1, 0, ([], [1]), id="the old one goes"),
        pytest.param({1: ALSO_OLD, 2: STARTING}, 1, 0, ([], [2]), id="or the new, if it is not"),
        pytest.param(
            {1: ALSO_OLD, 2: ALSO_OLD, 3: STARTING}, 1, 1, ([], [2]), id="what is awaited is kept"
        ),
        pytest.param(
            {1: ALSO_OLD, 2: STARTING, 3: STARTING},
            1,
            1,
            ([], [3]),
            id="but only one, and one ready",
        ),
    ],
)
def test_what_is_started_and_given_up_during_a_replacement(
    slots: dict[int, Occupant], desired: int, surge: int, expected: tuple[list[int], list[int]]
) -> None:
    assert plan(slots, desired, LIMIT + surge, {}, surge) == expected


@asynccontextmanager
async def running(
    server: Server, event_log: EventLog, probe: Probe, desired: int = 2
) -> AsyncIterator[ReplicaPool]:
    made, first_port = 0, free_ports(LIMIT + 1)

    async def no_load() -> Mapping[int, int]:
        return {}

    def make(number: int, release: Release) -> Keeper:
        nonlocal made
        made += release == LATER_BAD
        fails = release == BAD or (release == LATER_BAD and made == 2)
        before = "raise SystemExit('no model')\n" if fails else ""
        program = server(f"flights-{number}", first_port + number - 1, before=before)
        return Keeper(program, event_log, probe)

    pool = ReplicaPool(make, event_log, no_load, limit=LIMIT, desired=desired, release=OLD)
    for keeper in pool.begin():
        assert await keeper.first_ready() == ""
    following = asyncio.create_task(pool.run())
    try:
        yield pool
    finally:
        following.cancel()
        await asyncio.wait([following])
        await pool.drain_all()


async def always(number: int) -> bool:
    return number > 0


def ready(pool: ReplicaPool) -> int:
    return sum(keeper.state == "ready" for keeper in pool.slots.values())


async def run_watched(rollout: Rollout, least: int) -> None:
    """Run it, and see that there never are fewer ready replicas."""
    task = asyncio.create_task(rollout.run())
    while not task.done():
        assert ready(rollout.pool) >= least
        await asyncio.sleep(0.005)
    await task


async def test_at_zero_replicas_there_is_none_to_replace_and_the_next_serves_the_new(
    server: Server, event_log: EventLog, probe: Probe, eventually: Eventually
) -> None:
    async with running(server, event_log, probe, 0) as pool:
        rollout = Rollout(pool, event_log, always, OLD, NEW)
        await rollout.run()
        assert (rollout.status.state, pool.slots) == ("done", {})
        pool.resize(1)
        await eventually(lambda: ready(pool) == 1)
        assert len(pool.current()) == 1
        pool.resize(0)
        await eventually(lambda: not pool.slots)


@pytest.mark.parametrize("desired", [1, LIMIT])
async def test_every_replica_is_replaced_and_never_is_there_one_less(
    desired: int, server: Server, event_log: EventLog, probe: Probe
) -> None:
    async with running(server, event_log, probe, desired) as pool:
        before = {keeper.pid for keeper in pool.slots.values()}
        rollout = Rollout(pool, event_log, always, OLD, NEW)
        await run_watched(rollout, desired)
        assert (rollout.status.state, rollout.problem) == ("done", "")
        assert ready(pool) == len(pool.slots) == desired
        assert not before & {keeper.pid for keeper in pool.slots.values()}
        assert pool.others() == []
    told = [entry.message for entry in event_log.recent if entry.component == "rollout"]
    assert told == ["flights 2 takes the place of old", "every replica serves flights 2"]


async def test_a_new_replica_that_does_not_become_ready_is_stopped_and_the_old_ones_stay(
    server: Server, event_log: EventLog, probe: Probe
) -> None:
    async with running(server, event_log, probe) as pool:
        before = {number: keeper.pid for number, keeper in pool.slots.items()}
        rollout = Rollout(pool, event_log, always, OLD, BAD)
        await run_watched(rollout, 2)
        assert rollout.state == "rolled back"
        assert "no model" in rollout.problem
        assert {number: keeper.pid for number, keeper in pool.slots.items()} == before
        assert pool.release == OLD


async def test_those_that_were_replaced_already_go_back_when_a_later_one_fails(
    server: Server, event_log: EventLog, probe: Probe
) -> None:
    async with running(server, event_log, probe) as pool:
        rollout = Rollout(pool, event_log, always, OLD, LATER_BAD)
        await run_watched(rollout, 2)
        assert rollout.state == "rolled back"
        assert len(pool.current()) == 2


async def test_if_not_even_the_old_one_starts_any_more_what_runs_is_left_running(
    server: Server, event_log: EventLog, probe: Probe
) -> None:
    async with running(server, event_log, probe) as pool:
        rollout = Rollout(pool, event_log, always, BAD, LATER_BAD)
        await run_watched(rollout, 2)
        assert rollout.state == "failed"
        assert "; and back: " in rollout.problem
        assert ready(pool) == 2
    actions = [entry.action for entry in event_log.recent if entry.component == "rollout"]
    assert actions == ["deploy", "undeploy", "undeploy"]


async def test_a_replica_that_the_gateway_does_not_see_takes_no_ones_place(
    server: Server, event_log: EventLog, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.stack.rollout.rolling_replacement.SEEN_SECONDS", 0.2)

    async def never(number: int) -> bool:
        return number < 0

    async with running(server, event_log, probe, 1) as pool:
        pid = pool.slots[1].pid
        rollout = Rollout(pool, event_log, never, OLD, NEW)
        await run_watched(rollout, 1)
        assert (rollout.state, pool.slots[1].pid) == ("rolled back", pid)
        assert rollout.problem == "the gateway does not reach flights-2"


async def test_the_number_asked_for_may_change_meanwhile(
    server: Server, event_log: EventLog, probe: Probe, eventually: Eventually
) -> None:
    async with running(server, event_log, probe, LIMIT) as pool:
        rollout = Rollout(pool, event_log, always, OLD, NEW)
        task = asyncio.create_task(rollout.run())
        await eventually(lambda: len(pool.slots) == LIMIT + 1)
        pool.resize(1)
        await eventually(lambda: pool.current() and not pool.others())
        pool.resize(2)
        await task
        await eventually(lambda: ready(pool) == len(pool.slots) == 2)
        assert rollout.state == "done"
        assert pool.others() == []


async def test_fewer_asked_for_before_one_more_is_started_does_not_stop_it(
    server: Server, event_log: EventLog, probe: Probe
) -> None:
    async with running(server, event_log, probe, LIMIT) as pool:
        rollout = Rollout(pool, event_log, always, OLD, NEW)
        task = asyncio.create_task(rollout.run())
        await asyncio.sleep(0)
        pool.resize(LIMIT - 1)
        async with asyncio.timeout(30):
            await task
        assert len(pool.current()) == len(pool.slots) == LIMIT - 1


METRICS = """haproxy_server_status{proxy="model",server="model1",state="UP"} 1
haproxy_server_status{proxy="model",server="model2",state="UP"} 0
haproxy_server_status{proxy="other",server="model3",state="UP"} 1
"""


@pytest.mark.parametrize(("number", "up"), [(1, True), (2, False), (3, False)])
async def test_whom_the_gateway_sees_is_read_from_its_exporter(number: int, up: bool) -> None:
    async def fetch(url: str, seconds: float) -> str | None:
        del url, seconds
        return METRICS

    assert await gateway_sees(fetch, 8405)(number) is up
