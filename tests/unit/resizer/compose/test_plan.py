"""Which replicas are made, started again, and let go."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.resizer.compose.plan import Member, Plan, plan


def ready(number: int, **more: object) -> Member:
    values = {"id": str(number), "phase": "ready", "started_at": float(number), **more}
    return Member(number=number, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("members", "desired", "expected"),
    [
        pytest.param([ready(1)], 1, Plan(), id="as many as wanted"),
        pytest.param([ready(1), ready(3)], 4, Plan([2, 4]), id="the lowest free numbers are taken"),
        pytest.param(
            [ready(1, load=1), ready(2, load=0), ready(3, load=2)],
            2,
            Plan(drain=["2"]),
            id="the idlest leaves",
        ),
        pytest.param(
            [ready(1), ready(2), ready(3)], 1, Plan(drain=["3", "2"]), id="of equals the newest"
        ),
        pytest.param(
            [ready(1, load=0), ready(2, phase="starting", load=9)],
            1,
            Plan(drain=["2"]),
            id="one that starts goes before an idle one",
        ),
        pytest.param(
            [ready(1, phase="starting"), ready(2, phase="failed"), ready(3)],
            2,
            Plan(drain=["2"]),
            id="a failed one goes first",
        ),
        pytest.param(
            [ready(1), ready(2, phase="down", revivable=True)],
            2,
            Plan(start=["2"]),
            id="what is down is started again when its time has come",
        ),
        pytest.param(
            [ready(1), ready(2, phase="down", revivable=True)],
            1,
            Plan(drain=["2"]),
            id="what is down and too many is removed",
        ),
        pytest.param(
            [ready(1), ready(2, phase="failed", overdue=True)],
            2,
            Plan(make=[3], drain=["2"]),
            id="an overdue one is replaced",
        ),
        pytest.param(
            [ready(1, stale=True), ready(2, stale=True)],
            2,
            Plan(make=[3]),
            id="a stale one gets its successor first",
        ),
        pytest.param(
            [ready(1, stale=True), ready(2, stale=True), ready(3, phase="starting")],
            2,
            Plan(),
            id="and stays until that is ready",
        ),
        pytest.param(
            [ready(1, stale=True, load=1), ready(2, stale=True), ready(3)],
            2,
            Plan(drain=["2"]),
            id="then the idlest stale one leaves",
        ),
        pytest.param(
            [ready(1, stale=True, phase="starting"), ready(2)],
            1,
            Plan(drain=["1"]),
            id="a stale one that is not ready holds nothing up",
        ),
    ],
)
def test_the_plan(members: list[Member], desired: int, expected: Plan) -> None:
    made = plan(members, desired, {one.number for one in members})
    assert (list(made.make), list(made.start), list(made.drain)) == (
        list(expected.make),
        list(expected.start),
        list(expected.drain),
    )


def test_a_number_that_one_who_leaves_still_has_is_not_given_again() -> None:
    assert list(plan([ready(2)], 3, {1, 2, 4}).make) == [3, 5]


members = st.builds(
    Member,
    id=st.uuids().map(str),
    number=st.integers(1, 12),
    phase=st.sampled_from(["down", "failed", "starting", "ready"]),
    started_at=st.floats(0, 1e9),
    load=st.floats(0, 100) | st.just(float("inf")),
    stale=st.booleans(),
)


@given(
    st.lists(members, max_size=12, unique_by=(lambda one: one.id, lambda one: one.number)),
    st.integers(1, 12),
)
def test_as_many_ready_ones_stay_as_are_wanted_and_there(there: list[Member], desired: int) -> None:
    made = plan(there, desired, {one.number for one in there})
    before = sum(one.phase == "ready" for one in there)
    left = [one for one in there if one.id not in made.drain]
    after = sum(one.phase == "ready" for one in left)
    assert after >= min(before, desired)
    assert desired <= len(left) + len(made.make) <= max(len(there), desired + 1)


@given(
    st.lists(members, max_size=12, unique_by=(lambda one: one.id, lambda one: one.number)),
    st.integers(1, 12),
)
def test_as_all_become_ready_it_comes_to_rest_at_what_is_wanted_and_nothing_stale(
    there: list[Member], desired: int
) -> None:
    current = there
    for _ in range(30):
        taken = {one.number for one in current}
        made = plan(current, desired, taken)
        fresh = [ready(number, started_at=2e9, id=f"new {number}") for number in made.make]
        left = [replace(one, phase="ready") for one in current if one.id not in made.drain]
        current = left + fresh
    assert len(current) == desired
    assert not any(one.stale for one in current)
