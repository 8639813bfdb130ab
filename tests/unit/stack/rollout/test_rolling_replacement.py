"""A rolling replacement of real processes: no loss of capacity, and a rollback if a new one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.eventually import eventually_async
from support.ports import free_ports
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Probe
from tidegate.stack.gateway.runtime_api import RuntimeApi
from tidegate.stack.processes.process_supervisor import ProcessSupervisor, Program
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replica_pool import (
    ReplicaPool,
    ReplicaSnapshot,
    gateway_traffic_check,
    plan,
)
from tidegate.stack.rollout.rolling_replacement import Rollout

NO_GATEWAY = RuntimeApi(Path("/no/gateway"))
MAX_REPLICAS = 3
OLD, NEW = Release(path=Path("old")), Release(path=Path("new"), name="flights", version="2")
BAD, LATER_BAD = Release(path=Path("bad")), Release(path=Path("later-bad"))
READY, STARTING = ReplicaSnapshot("ready", 0), ReplicaSnapshot("starting", 5)
ALSO_OLD = ReplicaSnapshot("ready", 0, up_to_date=False)
Server = Callable[..., Program]


@pytest.mark.parametrize(
    ("replicas", "desired", "surge", "expected"),
    [
        pytest.param({1: ALSO_OLD}, 1, 1, ([2], []), id="start the new one first"),
        pytest.param({1: ALSO_OLD, 2: READY}, 1, 0, ([], [1]), id="the old one is drained"),
        pytest.param(
            {1: ALSO_OLD, 2: STARTING}, 1, 0, ([], [2]), id="or the new one, if it is not ready"
        ),
        pytest.param(
            {1: ALSO_OLD, 2: ALSO_OLD, 3: STARTING}, 1, 1, ([], [2]), id="what is awaited is kept"
        ),
        pytest.param(
            {1: ALSO_OLD, 2: STARTING, 3: STARTING},
            1,
            1,
            ([], [3]),
            id="but only one, and a ready one",
        ),
    ],
)
def test_the_plan_during_a_rollout_starts_and_drains_the_right_replicas(
    replicas: dict[int, ReplicaSnapshot],
    desired: int,
    surge: int,
    expected: tuple[list[int], list[int]],
) -> None:
    assert plan(replicas, desired, MAX_REPLICAS + surge, {}, surge) == expected


@asynccontextmanager
async def running(
    server: Server, event_log: EventLog, probe: Probe, desired: int = 2
) -> AsyncIterator[ReplicaPool]:
    made, first_port = 0, free_ports(MAX_REPLICAS + 1)

    async def no_load() -> Mapping[int, int]:
        return {}

    def create(index: int, release: Release) -> ProcessSupervisor:
        nonlocal made
        made += release == LATER_BAD
        fails = release == BAD or (release == LATER_BAD and made == 2)
        before = "raise SystemExit('no model')\n" if fails else ""
        program = server(f"flights-{index}", first_port + index - 1, before=before)
        return ProcessSupervisor(program, event_log, probe)

    pool = ReplicaPool(
        create,
        event_log,
        no_load,
        NO_GATEWAY,
        max_replicas=MAX_REPLICAS,
        desired=desired,
        release=OLD,
    )
    for process in pool.start():
        assert await process.first_ready() == ""
    following = asyncio.create_task(pool.run())
    try:
        yield pool
    finally:
        following.cancel()
        await asyncio.wait([following])
        await pool.drain_all()


async def always(index: int) -> bool:
    return index > 0


def ready(pool: ReplicaPool) -> int:
    return sum(process.state == "ready" for process in pool.processes.values())


async def run_checked(rollout: Rollout, minimum: int) -> None:
    """Run it, and check that the ready replicas are never fewer than the minimum."""
    task = asyncio.create_task(rollout.run())
    while not task.done():
        assert ready(rollout.pool) >= minimum
        await asyncio.sleep(0.005)
    await task


async def test_at_zero_replicas_the_next_replica_serves_the_new_release(
    server: Server, event_log: EventLog, probe: Probe
) -> None:
    async with running(server, event_log, probe, 0) as pool:
        rollout = Rollout(pool, event_log, always, OLD, NEW)
        await rollout.run()
        assert (rollout.status.state, pool.processes) == ("done", {})
        pool.resize(1)
        await eventually_async(lambda: ready(pool) == 1)
        assert len(pool.up_to_date()) == 1
        pool.resize(0)
        await eventually_async(lambda: not pool.processes)


@pytest.mark.parametrize("desired", [1, MAX_REPLICAS])
async def test_every_replica_is_replaced_with_no_loss_of_capacity(
    desired: int, server: Server, event_log: EventLog, probe: Probe
) -> None:
    async with running(server, event_log, probe, desired) as pool:
        before = {process.pid for process in pool.processes.values()}
        rollout = Rollout(pool, event_log, always, OLD, NEW)
        await run_checked(rollout, desired)
        assert (rollout.status.state, rollout.problem) == ("done", "")
        assert ready(pool) == len(pool.processes) == desired
        assert not before & {process.pid for process in pool.processes.values()}
        assert pool.outdated() == []
    logged = [entry for entry in event_log.recent if entry.component == "rollout"]
    assert [(entry.level, entry.message) for entry in logged] == [
        ("info", "replacing old with flights 2"),
        ("info", "every replica serves flights 2"),
    ]


async def test_a_new_replica_that_does_not_become_ready_is_stopped_and_the_old_ones_stay(
    server: Server, event_log: EventLog, probe: Probe
) -> None:
    async with running(server, event_log, probe) as pool:
        before = {index: process.pid for index, process in pool.processes.items()}
        rollout = Rollout(pool, event_log, always, OLD, BAD)
        await run_checked(rollout, 2)
        assert rollout.state == "rolled back"
        assert "no model" in rollout.problem
        assert {index: process.pid for index, process in pool.processes.items()} == before
        assert pool.release == OLD


async def test_replaced_replicas_are_rolled_back_when_a_later_one_fails(
    server: Server, event_log: EventLog, probe: Probe
) -> None:
    async with running(server, event_log, probe) as pool:
        rollout = Rollout(pool, event_log, always, OLD, LATER_BAD)
        await run_checked(rollout, 2)
        assert rollout.state == "rolled back"
        assert len(pool.up_to_date()) == 2


async def test_if_the_rollback_fails_the_running_replicas_are_not_stopped(
    server: Server, event_log: EventLog, probe: Probe
) -> None:
    async with running(server, event_log, probe) as pool:
        rollout = Rollout(pool, event_log, always, BAD, LATER_BAD)
        await run_checked(rollout, 2)
        assert rollout.state == "failed"
        assert "; the rollback failed: " in rollout.problem
        assert ready(pool) == 2
    logged = [entry for entry in event_log.recent if entry.component == "rollout"]
    assert [(entry.level, entry.action) for entry in logged] == [
        ("info", "deploy"),
        ("error", "undeploy"),
        ("error", "undeploy"),
    ]


async def test_a_replica_without_traffic_replaces_no_other(
    server: Server, event_log: EventLog, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.stack.rollout.rolling_replacement.TRAFFIC_SECONDS", 0.2)

    async def never(index: int) -> bool:
        return index < 0

    async with running(server, event_log, probe, 1) as pool:
        pid = pool.processes[1].pid
        rollout = Rollout(pool, event_log, never, OLD, NEW)
        await run_checked(rollout, 1)
        assert (rollout.state, pool.processes[1].pid) == ("rolled back", pid)
        assert rollout.problem == "the gateway does not reach flights-2"


async def test_the_desired_number_may_change_during_a_rollout(
    server: Server, event_log: EventLog, probe: Probe
) -> None:
    async with running(server, event_log, probe, MAX_REPLICAS) as pool:
        rollout = Rollout(pool, event_log, always, OLD, NEW)
        task = asyncio.create_task(rollout.run())
        await eventually_async(lambda: len(pool.processes) == MAX_REPLICAS + 1)
        pool.resize(1)
        await eventually_async(lambda: pool.up_to_date() and not pool.outdated())
        pool.resize(2)
        await task
        await eventually_async(lambda: ready(pool) == len(pool.processes) == 2)
        assert rollout.state == "done"
        assert pool.outdated() == []


async def test_scaling_down_before_the_first_new_replica_does_not_stop_the_rollout(
    server: Server, event_log: EventLog, probe: Probe
) -> None:
    async with running(server, event_log, probe, MAX_REPLICAS) as pool:
        rollout = Rollout(pool, event_log, always, OLD, NEW)
        task = asyncio.create_task(rollout.run())
        await asyncio.sleep(0)
        pool.resize(MAX_REPLICAS - 1)
        async with asyncio.timeout(30):
            await task
        assert len(pool.up_to_date()) == len(pool.processes) == MAX_REPLICAS - 1


METRICS = """haproxy_server_status{proxy="model",server="model1",state="UP"} 1
haproxy_server_status{proxy="model",server="model2",state="UP"} 0
haproxy_server_status{proxy="other",server="model3",state="UP"} 1
"""


@pytest.mark.parametrize(("index", "up"), [(1, True), (2, False), (3, False)])
async def test_the_traffic_check_reads_the_gateways_exporter(index: int, up: bool) -> None:
    async def fetch(url: str, seconds: float) -> str | None:
        del url, seconds
        return METRICS

    assert await gateway_traffic_check(fetch, 8405)(index) is up
