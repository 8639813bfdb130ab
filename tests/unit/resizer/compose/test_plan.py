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


DOWN = ready(2, phase="down", restartable=True)
STALE = [ready(1, stale=True), ready(2, stale=True)]
PLANS = {
    "the desired number runs": ([ready(1)], 1, Plan()),
    "the lowest free numbers are taken": ([ready(1), ready(3)], 4, Plan([2, 4])),
    "the replica with the lowest load is drained": (
        [ready(1, load=1), ready(2, load=0), ready(3, load=2)], 2, Plan(drain=["2"]),
    ),
    "of equals the newest": ([ready(1), ready(2), ready(3)], 1, Plan(drain=["3", "2"])),
    "a starting replica is drained before an idle one": (
        [ready(1, load=0), ready(2, phase="starting", load=9)], 1, Plan(drain=["2"]),
    ),
    "a failed replica is drained first": (
        [ready(1, phase="starting"), ready(2, phase="failed"), ready(3)], 2, Plan(drain=["2"]),
    ),
    "a replica that is down is restarted after its delay": ([ready(1), DOWN], 2, Plan(restart=["2"])),
    "a surplus replica that is down is removed": ([ready(1), DOWN], 1, Plan(drain=["2"])),
    "an overdue replica is replaced": (
        [ready(1), ready(2, phase="failed", overdue=True)], 2, Plan(create=[3], drain=["2"]),
    ),
    "the successor of a stale replica is created first": (STALE, 2, Plan(create=[3])),
    "a stale replica stays until its successor is ready": (
        [*STALE, ready(3, phase="starting")], 2, Plan(),
    ),
    "then the stale replica with the lowest load is drained": (
        [ready(1, stale=True, load=1), ready(2, stale=True), ready(3)], 2, Plan(drain=["2"]),
    ),
    "a stale replica that is not ready is drained at once": (
        [ready(1, stale=True, phase="starting"), ready(2)], 1, Plan(drain=["1"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("replicas", "desired", "expected"), PLANS.values(), ids=PLANS)
def test_the_plan(replicas: list[ManagedReplica], desired: int, expected: Plan) -> None:
    found = plan(replicas, desired, {one.number for one in replicas})
    for part in ("create", "restart", "drain"):
        assert list(getattr(found, part)) == list(getattr(expected, part))


def test_the_number_of_a_replica_that_is_being_stopped_is_not_reused() -> None:
    assert list(plan([ready(2)], 3, {1, 2, 4}).create) == [3, 5]


MANAGED = st.builds(
    ManagedReplica,
    id=st.uuids().map(str),
    number=st.integers(1, 12),
    phase=st.sampled_from(["down", "failed", "starting", "ready"]),
    started_at=st.floats(0, 1e9),
    load=st.floats(0, 100) | st.just(float("inf")),
    stale=st.booleans(),
)
REPLICAS = st.lists(MANAGED, max_size=12, unique_by=(lambda one: one.id, lambda one: one.number))


@given(REPLICAS, st.integers(1, 12))
def test_a_plan_keeps_the_desired_number_of_ready_replicas(
    replicas: list[ManagedReplica], desired: int
) -> None:
    result = plan(replicas, desired, {one.number for one in replicas})
    before = sum(one.phase == "ready" for one in replicas)
    left = [one for one in replicas if one.id not in result.drain]
    after = sum(one.phase == "ready" for one in left)
    assert after >= min(before, desired)
    assert desired <= len(left) + len(result.create) <= max(len(replicas), desired + 1)


@given(REPLICAS, st.integers(1, 12))
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
