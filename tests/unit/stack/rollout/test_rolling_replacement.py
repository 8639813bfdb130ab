"""A rolling replacement of real processes: no loss of capacity, and a rollback if a new one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from support.eventually import eventually_async
from tidegate.runtime.event_log import EventLog
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replica_pool import ReplicaPool
from tidegate.stack.rollout.rolling_replacement import Rollout

MAX_REPLICAS = 3
OLD, NEW = Release(path=Path("old")), Release(path=Path("new"), name="flights", version="2")
SLOW = NEW.model_copy(update={"served_by": "served by the original in Python (20 ms for a row)"})
SAID = "flights 2 is served by the original in Python (20 ms for a row)"
BAD, LATER_BAD = Release(path=Path("bad")), Release(path=Path("later-bad"))
RunningPool = Callable[..., AbstractAsyncContextManager[ReplicaPool]]


def before(release: Release) -> str:
    """What a replica does before it serves: those of a bad release end."""
    return "raise SystemExit('no model')\n" if release == BAD else ""


def later_bad() -> Callable[[Release], str]:
    """As `before`; of another release, the second replica ends."""
    made = 0

    def before_any(release: Release) -> str:
        nonlocal made
        made += release == LATER_BAD
        return before(BAD) if release == LATER_BAD and made == 2 else before(release)

    return before_any


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
    running_pool: RunningPool, event_log: EventLog
) -> None:
    async with running_pool(0, MAX_REPLICAS) as pool:
        rollout = Rollout(pool, event_log, OLD, SLOW)
        await rollout.run()
        assert (rollout.status.state, pool.processes) == ("done", {})
        assert SAID in [entry.message for entry in event_log.recent]
        pool.resize(1)
        await eventually_async(lambda: ready(pool) == 1)
        assert len(pool.up_to_date()) == 1
        pool.resize(0)
        await eventually_async(lambda: not pool.processes)


@pytest.mark.parametrize("desired", [1, MAX_REPLICAS])
async def test_every_replica_is_replaced_with_no_loss_of_capacity(
    running_pool: RunningPool, desired: int, event_log: EventLog
) -> None:
    async with running_pool(desired, MAX_REPLICAS) as pool:
        before = {process.pid for process in pool.processes.values()}
        rollout = Rollout(pool, event_log, OLD, NEW)
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
    running_pool: RunningPool, event_log: EventLog
) -> None:
    async with running_pool(2, MAX_REPLICAS, before=before) as pool:
        pids = {index: process.pid for index, process in pool.processes.items()}
        rollout = Rollout(pool, event_log, OLD, BAD)
        await run_checked(rollout, 2)
        assert rollout.state == "rolled back"
        assert "no model" in rollout.problem
        assert {index: process.pid for index, process in pool.processes.items()} == pids
        assert pool.release == OLD


async def test_replaced_replicas_are_rolled_back_when_a_later_one_fails(
    running_pool: RunningPool, event_log: EventLog
) -> None:
    async with running_pool(2, MAX_REPLICAS, before=later_bad()) as pool:
        rollout = Rollout(pool, event_log, OLD, LATER_BAD)
        await run_checked(rollout, 2)
        assert rollout.state == "rolled back"
        assert len(pool.up_to_date()) == 2


async def test_if_the_rollback_fails_the_running_replicas_are_not_stopped(
    running_pool: RunningPool, event_log: EventLog
) -> None:
    async with running_pool(2, MAX_REPLICAS, before=later_bad()) as pool:
        rollout = Rollout(pool, event_log, BAD, LATER_BAD)
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


@pytest.mark.parametrize("is_up", [False, None])
async def test_a_replica_without_traffic_replaces_no_other(
    running_pool: RunningPool,
    event_log: EventLog,
    monkeypatch: pytest.MonkeyPatch,
    is_up: bool | None,
) -> None:
    monkeypatch.setattr("tidegate.stack.rollout.rolling_replacement.TRAFFIC_SECONDS", 0.2)
    async with running_pool(1, MAX_REPLICAS, is_up=is_up) as pool:
        pid = pool.processes[1].pid
        rollout = Rollout(pool, event_log, OLD, NEW)
        await run_checked(rollout, 1)
        assert (rollout.state, pool.processes[1].pid) == ("rolled back", pid)
        assert rollout.problem == "the gateway does not reach flights-2"


async def test_the_desired_number_may_change_during_a_rollout(
    running_pool: RunningPool, event_log: EventLog
) -> None:
    async with running_pool(MAX_REPLICAS, MAX_REPLICAS) as pool:
        rollout = Rollout(pool, event_log, OLD, NEW)
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
    running_pool: RunningPool, event_log: EventLog
) -> None:
    async with running_pool(MAX_REPLICAS, MAX_REPLICAS) as pool:
        rollout = Rollout(pool, event_log, OLD, NEW)
        task = asyncio.create_task(rollout.run())
        await asyncio.sleep(0)
        pool.resize(MAX_REPLICAS - 1)
        async with asyncio.timeout(30):
            await task
        assert len(pool.up_to_date()) == len(pool.processes) == MAX_REPLICAS - 1
