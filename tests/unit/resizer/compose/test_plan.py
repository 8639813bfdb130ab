"""Which replicas are created, restarted and drained."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.resizer.compose.plan import ManagedReplica, Plan, plan


def ready(number: int, **more: object) -> ManagedReplica:
    values = {"id": str(number), "phase": "ready", "started_at": float(number), **more}
    return ManagedReplica(number=number, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("replicas", "desired", "expected"),
    [
        pytest.param([ready(1)], 1, Plan(), id="the desired number runs"),
        pytest.param([ready(1), ready(3)], 4, Plan([2, 4]), id="the lowest free numbers are taken"),
        pytest.param(
            [ready(1, load=1), ready(2, load=0), ready(3, load=2)],
            2,
            Plan(drain=["2"]),
            id="the replica with the lowest load is drained",
        ),
        pytest.param(
            [ready(1), ready(2), ready(3)],
            1,
            Plan(drain=["3", "2"]),
            id="of equals the choose_template",
        ),
        pytest.param(
            [ready(1, load=0), ready(2, phase="starting", load=9)],
            1,
            Plan(drain=["2"]),
            id="a starting replica is drained before an idle one",
        ),
        pytest.param(
            [ready(1, phase="starting"), ready(2, phase="failed"), ready(3)],
            2,
            Plan(drain=["2"]),
            id="a failed replica is drained first",
        ),
        pytest.param(
            [ready(1), ready(2, phase="down", restartable=True)],
            2,
            Plan(restart=["2"]),
            id="a replica that is down is restarted after its delay",
        ),
        pytest.param(
            [ready(1), ready(2, phase="down", restartable=True)],
            1,
            Plan(drain=["2"]),
            id="a surplus replica that is down is removed",
        ),
        pytest.param(
            [ready(1), ready(2, phase="failed", overdue=True)],
            2,
            Plan(create=[3], drain=["2"]),
            id="an overdue replica is replaced",
        ),
        pytest.param(
            [ready(1, stale=True), ready(2, stale=True)],
            2,
            Plan(create=[3]),
            id="the successor of a stale replica is created first",
        ),
        pytest.param(
            [ready(1, stale=True), ready(2, stale=True), ready(3, phase="starting")],
            2,
            Plan(),
            id="a stale replica stays until its successor is ready",
        ),
        pytest.param(
            [ready(1, stale=True, load=1), ready(2, stale=True), ready(3)],
            2,
            Plan(drain=["2"]),
            id="then the stale replica with the lowest load is drained",
        ),
        pytest.param(
            [ready(1, stale=True, phase="starting"), ready(2)],
            1,
            Plan(drain=["1"]),
            id="a stale replica that is not ready is drained at once",
        ),
    ],
)
def test_the_plan(replicas: list[ManagedReplica], desired: int, expected: Plan) -> None:
    result = plan(replicas, desired, {one.number for one in replicas})
    assert (list(result.create), list(result.restart), list(result.drain)) == (
        list(expected.create),
        list(expected.restart),
        list(expected.drain),
    )


def test_the_number_of_a_replica_that_is_being_stopped_is_not_reused() -> None:
    assert list(plan([ready(2)], 3, {1, 2, 4}).create) == [3, 5]


managed_replicas = st.builds(
    ManagedReplica,
    id=st.uuids().map(str),
    number=st.integers(1, 12),
    phase=st.sampled_from(["down", "failed", "starting", "ready"]),
    started_at=st.floats(0, 1e9),
    load=st.floats(0, 100) | st.just(float("inf")),
    stale=st.booleans(),
)


@given(
    st.lists(managed_replicas, max_size=12, unique_by=(lambda one: one.id, lambda one: one.number)),
    st.integers(1, 12),
)
def test_a_plan_keeps_the_desired_number_of_ready_replicas(
    replicas: list[ManagedReplica], desired: int
) -> None:
    result = plan(replicas, desired, {one.number for one in replicas})
    before = sum(one.phase == "ready" for one in replicas)
    left = [one for one in replicas if one.id not in result.drain]
    after = sum(one.phase == "ready" for one in left)
    assert after >= min(before, desired)
    assert desired <= len(left) + len(result.create) <= max(len(replicas), desired + 1)


@given(
    st.lists(managed_replicas, max_size=12, unique_by=(lambda one: one.id, lambda one: one.number)),
    st.integers(1, 12),
)
def test_repeated_plans_converge_to_the_desired_number_without_stale_replicas(
    replicas: list[ManagedReplica], desired: int
) -> None:
    current = replicas
    for _ in range(30):
        taken = {one.number for one in current}
        result = plan(current, desired, taken)
        fresh = [ready(number, started_at=2e9, id=f"new {number}") for number in result.create]
        left = [replace(one, phase="ready") for one in current if one.id not in result.drain]
        current = left + fresh
    assert len(current) == desired
    assert not any(one.stale for one in current)
