"""Which replicas the pool starts and drains, also with real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.eventually import eventually_async
from tidegate.runtime.event_log import EventLog
from tidegate.settings import Replicas
from tidegate.stack.gateway.runtime_api import RuntimeApi, RuntimeApiError, Server
from tidegate.stack.processes.process_supervisor import State
from tidegate.stack.replicas import replica_pool
from tidegate.stack.replicas.local_resizer import LocalResizer
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replica_pool import ReplicaPool, ReplicaSnapshot, plan

MAX_REPLICAS = 4
RunningPool = Callable[..., AbstractAsyncContextManager[ReplicaPool]]
READY, NEWER = ReplicaSnapshot("ready", 0), ReplicaSnapshot("ready", 30)
STARTING, FAILED = ReplicaSnapshot("starting", 5), ReplicaSnapshot("failed", 0)
DRAINING, OLD = ReplicaSnapshot("draining", 0), ReplicaSnapshot("ready", 0, up_to_date=False)


@pytest.mark.parametrize(
    ("replicas", "desired", "load", "surge", "expected"),
    [
        pytest.param({}, 2, {}, 0, ([1, 2], []), id="the lowest indexes first"),
        pytest.param({1: READY, 3: READY}, 4, {}, 0, ([2, 4], []), id="gaps are filled"),
        pytest.param({1: READY, 2: READY}, 2, {}, 0, ([], []), id="nothing to do"),
        pytest.param(
            {1: READY, 2: READY, 3: READY},
            *(2, {1: 2, 2: 0, 3: 1}, 0, ([], [2])),
            id="the least busy is drained",
        ),
        pytest.param({1: NEWER, 2: READY}, 1, {}, 0, ([], [1]), id="the newest is drained"),
        pytest.param({1: READY, 2: READY}, 1, {}, 0, ([], [2]), id="of one age, the highest index"),
        pytest.param({1: STARTING, 2: READY}, 1, {}, 0, ([], [1]), id="one not ready goes first"),
        pytest.param({1: FAILED, 2: READY}, 2, {}, 0, ([], []), id="a failed one is restarted"),
        pytest.param({1: DRAINING, 2: READY}, 4, {}, 0, ([3, 4], []), id="its index is occupied"),
        # During a rollout.
        pytest.param({1: OLD}, 1, {}, 1, ([2], []), id="start the new one first"),
        pytest.param({1: OLD, 2: READY}, 1, {}, 0, ([], [1]), id="the old one is drained"),
        pytest.param({1: OLD, 2: STARTING}, 1, {}, 0, ([], [2]), id="or the new, if not ready"),
        pytest.param({1: OLD, 2: OLD, 3: STARTING}, 1, {}, 1, ([], [2]), id="the awaited is kept"),
        pytest.param({1: OLD, 2: STARTING, 3: STARTING}, 1, {}, 1, ([], [3]), id="but only one"),
    ],
)
def test_the_plan_starts_and_drains_the_right_replicas(
    replicas: dict[int, ReplicaSnapshot],
    desired: int,
    load: dict[int, int],
    surge: int,
    expected: tuple[list[int], list[int]],
) -> None:
    assert plan(replicas, desired, MAX_REPLICAS + surge, load, surge) == expected


STATES = st.sampled_from(["starting", "ready", "failed", "draining", "gone"])


@given(
    states=st.dictionaries(st.integers(1, 8), STATES),
    desired=st.integers(1, 8),
    load=st.dictionaries(st.integers(1, 8), st.integers(0, 5)),
)
def test_a_plan_reaches_the_desired_number_as_far_as_indexes_are_free(
    states: dict[int, State], desired: int, load: dict[int, int]
) -> None:
    replicas = {index: ReplicaSnapshot(state, index) for index, state in states.items()}
    start, drain = plan(replicas, desired, 8, load)
    active = {index for index, one in replicas.items() if one.state not in {"draining", "gone"}}
    assert not (start and drain)
    assert len(set(start)) == len(start)
    assert not set(start) & set(replicas)
    assert set(start) <= set(range(1, 9))
    assert set(drain) <= active
    occupied = len(replicas) - len(active)
    assert len(active) + len(start) - len(drain) == min(desired, 8 - occupied)


def ready(pool: ReplicaPool, *indexes: int) -> Callable[[], bool]:
    return lambda: (
        set(pool.processes) == set(indexes)
        and all(process.state == "ready" for process in pool.processes.values())
    )


@pytest.mark.parametrize("where", ["load", "drain"])
async def test_after_an_unexpected_error_the_pool_still_reaches_the_desired_number(
    running_pool: RunningPool, event_log: EventLog, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_pool() as pool:
        pool.resize(2)
        await eventually_async(ready(pool, 1, 2))
        failures = ["once"]

        def fail_once() -> None:
            if failures:
                raise ValueError(failures.pop())

        async def servers(_: RuntimeApi) -> dict[int, Server]:
            fail_once()
            return {}

        if where == "load":
            monkeypatch.setattr(type(pool.gateway), "servers", servers)
        else:
            pool.processes[2].on_change = fail_once
        pool.resize(1)
        await eventually_async(ready(pool, 1))
        assert event_log.faults == 1


async def test_scaling_up_uses_the_lowest_free_indexes_and_scaling_down_drains_the_least_busy(
    running_pool: RunningPool, event_log: EventLog
) -> None:
    async with running_pool(load={1: 1, 2: 0, 3: 2}) as pool:
        resizer = LocalResizer(pool, Replicas(min=1, max=MAX_REPLICAS))
        assert (await resizer.resize(3)).desired == 3
        await eventually_async(ready(pool, 1, 2, 3))
        status = await resizer.status()
        assert (status.desired, status.running, status.ready) == (3, 3, 3)
        first = await LocalResizer(pool, Replicas(max=MAX_REPLICAS)).status()
        assert len(first.startups) == 3, "also of those that an earlier part has started"
        assert first.startups == status.startups
        assert [one.id for one in status.replicas] == ["flights-1", "flights-2", "flights-3"]
        await resizer.resize(2)
        await eventually_async(ready(pool, 1, 3))
        await resizer.resize(3)
        await eventually_async(ready(pool, 1, 2, 3))
    messages = [entry.message for entry in event_log.recent if entry.action == "resize"]
    assert messages == [
        "1 → 3 replicas requested",
        "3 → 2 replicas requested",
        "2 → 3 replicas requested",
    ]


async def test_of_several_replicas_the_next_begins_its_start_when_an_earlier_one_is_ready(
    running_pool: RunningPool, event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_pool, "TURN_SECONDS", 600)
    async with running_pool() as pool:
        pool.at_once = 1
        pool.resize(MAX_REPLICAS)
        await eventually_async(ready(pool, *range(1, MAX_REPLICAS + 1)))
    of_start = [one.action for one in event_log.recent if one.action in {"start", "ready"}]
    assert of_start == ["start", "ready"] * MAX_REPLICAS


async def test_replicas_whose_start_hangs_do_not_hold_back_others(
    running_pool: RunningPool, tmp_path: Path
) -> None:
    async with running_pool() as pool:
        pool.at_once = 2
        (tmp_path / "unready").touch()
        pool.resize(MAX_REPLICAS)
        await eventually_async(lambda: pool.processes.keys() == set(range(1, MAX_REPLICAS + 1)))
        (tmp_path / "unready").unlink()


async def test_a_crashed_replica_and_a_rollout_do_not_wait_for_replicas_that_start(
    running_pool: RunningPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_pool, "TURN_SECONDS", 600)
    async with running_pool() as pool:
        pool.at_once = 1
        crashed = pool.processes[1]
        (tmp_path / "unready").touch()
        pool.resize(MAX_REPLICAS)
        await eventually_async(lambda: pool.processes.keys() == {1, 2})
        status = await LocalResizer(pool, Replicas(max=MAX_REPLICAS)).status()
        assert status.running == MAX_REPLICAS, "a policy would add more for those that wait"
        assert crashed.pid is not None
        os.kill(crashed.pid, signal.SIGKILL)
        await eventually_async(lambda: (crashed.restarts, crashed.state) == (1, "starting"))
        pool.resize(2)
        pool.set_release(Release(path=Path("new")))
        pool.surge(1)
        await eventually_async(lambda: pool.processes.keys() == {1, 2, 3})
        (tmp_path / "unready").unlink()


async def test_while_the_gateway_does_not_answer_a_surplus_replica_is_drained(
    running_pool: RunningPool, event_log: EventLog
) -> None:
    async with running_pool(2, is_up=None) as pool:
        pool.resize(1)
        await eventually_async(ready(pool, 1))
    assert event_log.faults == 0


@pytest.mark.parametrize("refused", [False, True])
async def test_a_replica_that_finishes_its_requests_is_not_ready_and_not_started_again(
    running_pool: RunningPool, monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    async def accepted(_: RuntimeApi, index: int) -> None:
        if refused:
            raise RuntimeApiError(f"HAProxy refuses it for {index}")

    async def none(_: RuntimeApi) -> dict[int, Server]:
        return {}

    async with running_pool(2, load={1: 2, 2: 1}) as pool:
        monkeypatch.setattr(type(pool.gateway), "remove", accepted)
        draining = pool.processes[2]
        pool.resize(1)
        await eventually_async(lambda: draining.state == "draining")
        assert 2 in pool.processes, "it has a request"
        assert draining.pid is not None
        os.kill(draining.pid, signal.SIGKILL)
        monkeypatch.setattr(type(pool.gateway), "servers", none)
        await eventually_async(ready(pool, 1))
    assert draining.restarts == 0


async def test_a_resize_during_a_drain_takes_effect_when_the_index_is_free(
    running_pool: RunningPool, tmp_path: Path
) -> None:
    async with running_pool() as pool:
        pool.resize(MAX_REPLICAS)
        await eventually_async(ready(pool, *range(1, MAX_REPLICAS + 1)))
        first = pool.processes[MAX_REPLICAS].pid
        (tmp_path / "busy").touch()
        pool.resize(MAX_REPLICAS - 1)
        await eventually_async(lambda: pool.processes[MAX_REPLICAS].state == "draining")
        draining = await LocalResizer(pool, Replicas(max=MAX_REPLICAS)).status()
        assert draining.replicas[-1].state == "draining"
        assert draining.running == MAX_REPLICAS - 1
        pool.resize(MAX_REPLICAS)
        (tmp_path / "busy").unlink()
        await eventually_async(
            lambda: (
                ready(pool, *range(1, MAX_REPLICAS + 1))()
                and pool.processes[MAX_REPLICAS].pid != first
            )
        )
