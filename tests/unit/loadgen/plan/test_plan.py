"""The plan is a pure function: the same scenario and seed give the same bytes."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.loadgen.plan.plan import PlannedRequest, arrival_times, digest, make_plan, plan_csv
from tidegate.loadgen.plan.rates import Segment, exact
from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS
from tidegate.loadgen.plan.scenario import Schedule, load_schedule

# What the plans of the built-in scenarios are, for seed 1, on every machine and version of Python.
GOLDEN = {
    "flights": "3d535a12477f115813b4e03e292d526938af5a1cd4bf6e78c92c46227e7ebce7",
    "seed": "89fb9cfc229ee5048306268ae3b188b65032d001609c7bf7c4bcb788d0733df1",
    "spike": "31e1214744fca5456bae55af5c6cd70b3be1c84856fd50ceb781e2246740f06b",
    "steps": "a94fc3f76ea62b9fecfbf676ac611f1f3294db0ec5f766c8a29eb3dee520255d",
}
segments = st.builds(
    Segment,
    seconds=st.integers(1, 300).map(lambda number: exact(number / 10)),
    start_rate=st.integers(0, 300).map(lambda number: exact(number / 10)),
    end_rate=st.integers(0, 300).map(lambda number: exact(number / 10)),
)
schedules = st.builds(
    Schedule,
    name=st.just("any"),
    description=st.just(""),
    arrivals=st.sampled_from(["even", "poisson"]),
    weights=st.sampled_from([{"light": 1.0}, {"light": 1.0, "medium": 2.0, "heavy": 0.5}]),
    segments=st.lists(segments, min_size=1, max_size=5).map(tuple),
    routes=st.just(()),
)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_the_plan_of_a_built_in_scenario_does_not_change(name: str) -> None:
    assert digest(make_plan(load_schedule(name), 1)) == GOLDEN[name]


def test_another_seed_gives_another_plan_of_the_same_size() -> None:
    schedule = load_schedule("seed")
    plans = [make_plan(schedule, seed) for seed in range(5)]
    assert {len(plan) for plan in plans} == {1200}
    assert len({digest(plan) for plan in plans}) == 5


def test_another_mix_of_kinds_does_not_change_the_times() -> None:
    one = load_schedule("seed")
    other = Schedule(one.name, "", one.arrivals, {"heavy": 1.0}, one.segments)
    assert [planned.at for planned in make_plan(one, 1)] == [
        planned.at for planned in make_plan(other, 1)
    ]


def test_even_arrivals_have_equal_intervals() -> None:
    steady = [Segment(Fraction(2), Fraction(4), Fraction(4))]
    assert list(arrival_times(steady, "even", 1)) == [0.125 + number / 4 for number in range(8)]


def test_the_remainder_is_carried_over_to_the_next_segment() -> None:
    # Ten stretches of 0.3 requests each: three requests in all, in the order of their integral.
    thin = [Segment(Fraction(1), exact(0.3), exact(0.3))] * 10
    arrivals: list[Literal["even", "poisson"]] = ["even", "poisson"]
    for kind in arrivals:
        assert [int(at) for at in arrival_times(thin, kind, 1)] == [1, 5, 8] or kind == "poisson"
        assert len(list(arrival_times(thin, kind, 1))) == 3


@given(schedule=schedules, seed=st.integers(-(2**40), 2**40))
def test_a_plan_is_reproducible_sorted_and_within_the_duration(
    schedule: Schedule, seed: int
) -> None:
    plan = make_plan(schedule, seed)
    assert "".join(plan_csv(plan)) == "".join(plan_csv(make_plan(schedule, seed)))
    assert abs(len(plan) - schedule.requests) <= Fraction(1, 2)
    assert all(before.at <= after.at for before, after in pairwise(plan))
    assert all(0 <= one.at <= schedule.seconds + 1e-6 for one in plan)
    assert {one.kind for one in plan} <= set(schedule.weights)
    assert all(0 <= one.body < 2**32 for one in plan)


def test_the_mix_follows_the_weights() -> None:
    schedule = Schedule(
        "mix",
        "",
        "even",
        {"light": 6.0, "medium": 3.0, "heavy": 1.0},
        (Segment(Fraction(100), Fraction(100), Fraction(100)),),
    )
    plan = make_plan(schedule, 7)
    shares = [sum(one.kind == kind for one in plan) / len(plan) for kind in REQUEST_KINDS]
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.02)


def test_the_csv_of_the_plan_has_columns_and_rows() -> None:
    plan = [PlannedRequest(0.5, "light", 7), PlannedRequest(1.25, "heavy", 8)]
    assert "".join(plan_csv(plan)) == (
        "planned_s,kind,rows,body\n0.500000,light,1,7\n1.250000,heavy,256,8\n"
    )
