"""Rises that most earlier days had at this time, and policies that are prepared for them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.components import examples
from support.samples.signals import ANY_SIGNALS, CALM, IDLE, VALID_SIGNALS
from tidegate.autoscaler.policy_builder import build_policy
from tidegate.autoscaler.policy_registry import POLICIES, PolicyContext
from tidegate.autoscaler.types import Bounds, Policy, Signals
from tidegate.autoscaler.wrappers.daily_rise import AHEAD_SECONDS, DailyRise, daily_rise
from tidegate.lab.simulator.run import simulate
from tidegate.lab.simulator.score import score
from tidegate.lab.simulator.simulated_policy import simulated_policy
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Floats, Trace

CONTEXT = PolicyContext(Bounds(1, 20), slo_seconds=0.6)
SLOQ = build_policy("sloq", CONTEXT).policy
HORIZON = 35.0
MINUTE = 60.0


def a_day(before: float, ahead: float, recent: float | None = None) -> list[float]:
    """A level rate, and a rise within each of the horizons."""
    return [before, before if recent is None else recent, *[ahead] * len(AHEAD_SECONDS)]


RISE, NONE = a_day(10, 50), a_day(10, 10)


@pytest.mark.parametrize(
    ("days", "with_it"),
    [
        ([RISE] * 2, 0),
        ([RISE] * 3, 3),
        ([RISE] * 2 + [NONE], 0),
        ([RISE] * 3 + [NONE], 3),
        ([RISE] * 4 + [NONE] * 2, 0),
        ([RISE] * 5 + [NONE], 5),
        ([NONE] * 2 + [RISE] * 5, 5),
        ([NONE] * 3 + [RISE] * 4, 0),
        # The same day of the last week had none, or is unknown.
        ([RISE] * 5 + [NONE] * 2, 0),
        ([RISE] * 5 + [NONE, []], 5),
    ],
)
def test_a_rise_is_expected_if_five_of_seven_days_had_it(
    days: list[list[float]], with_it: int
) -> None:
    found = daily_rise([[10, 10], *days], HORIZON)
    known = len([day for day in days if day])
    expected = DailyRise(50.0, 120, known, with_it) if with_it else DailyRise(days=known)
    assert found == expected


@pytest.mark.parametrize(
    ("today", "day", "rate"),
    [
        ([10.0, 10.0], a_day(10, 50), 50.0),
        # Today is half as busy, or has fallen within the last minutes.
        ([4.5, 4.5], a_day(10, 50), 25.0),
        ([10.0, 4.5], a_day(10, 50), 25.0),
        # It has begun early today, which is no reason to expect more.
        ([10.0, 50.0], a_day(10, 50), 50.0),
        ([100.0, 100.0], a_day(10, 50), 100.0),
        # From idle.
        ([0.0, 0.0], a_day(0, 50), 50.0),
        ([0.0, 0.0], a_day(0.1, 55), 50.0),
        # Noise, and the end of a rise.
        ([10.0, 10.0], a_day(10, 12), 0.0),
        ([10.0, 10.0], a_day(20, 50, recent=50), 0.0),
    ],
)
def test_a_rise_is_scaled_to_the_level_of_today(
    today: list[float], day: list[float], rate: float
) -> None:
    assert daily_rise([today, *[day] * 3], HORIZON).rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("horizon", "seconds"), [(35, 120), (45, 120), (46, 180), (125, 240), (305, 420), (3600, 600)]
)
def test_it_is_expected_no_earlier_than_replicas_take_to_start(
    horizon: float, seconds: float
) -> None:
    day = [10.0, 10.0, *range(110, 110 + len(AHEAD_SECONDS))]
    found = daily_rise([[10, 10], *[day] * 3], horizon)
    assert (found.rate, found.seconds) == (110 + AHEAD_SECONDS.index(int(seconds)), seconds)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0, 1e10])
def test_days_with_invalid_or_missing_rates_do_not_count(bad: float) -> None:
    invalid = [[*RISE[:-1], bad], RISE[:-1], []]
    assert daily_rise([[10, 10], *invalid, *[RISE] * 3], HORIZON).days == 3
    for today in ([bad, 10.0], [10.0, bad], [10.0], []):
        assert daily_rise([today, *[RISE] * 7], HORIZON).rate == 0
    assert daily_rise([], HORIZON) == DailyRise()


ANY_RATES = st.lists(st.lists(st.floats() | st.floats(0, 200), max_size=9), max_size=9)
RATES = st.lists(st.lists(st.floats(0, 200), min_size=8, max_size=8), min_size=1, max_size=8)


@given(ANY_RATES | RATES, st.floats())
def test_any_rates_give_a_finite_rise(rates: list[list[float]], horizon: float) -> None:
    assert 0 <= daily_rise(rates, horizon).rate <= 1e9


@given(RATES, st.floats(1, 10))
def test_a_higher_rate_today_never_lowers_it(rates: list[list[float]], times: float) -> None:
    higher = [[rate * times for rate in rates[0]], *rates[1:]]
    assert daily_rise(rates, HORIZON).rate <= daily_rise(higher, HORIZON).rate


def with_rises(rate: float = 100.0) -> list[list[float]]:
    """Today at 10 requests a second, and seven days, of which five had a rise to this rate."""
    return [NONE[:2], NONE, NONE, *[a_day(10, rate)] * 5]


def prepared(expression: str) -> Policy:
    return build_policy(f"{expression}:predictive=1", CONTEXT).policy


def test_the_decision_says_what_is_expected_within_how_long_and_why() -> None:
    found = prepared("sloq")({}, replace(CALM, daily_rates=with_rises()), 5.0)
    alone = SLOQ({}, CALM, 5.0)
    assert (found.desired, found.reason) == (7, "up")
    assert found.explanation == (
        "1 → 7: 100 requests/s are expected within 3 min: 5 of 7 earlier days had that rise at this time;"
        f" else 2 ({alone.explanation})"
    )
    rise = {"rate": 100.0, "seconds": 180, "days": 7, "with_it": 5}
    assert found.inputs["daily_rise"] == rise
    assert found.state["inner"] == alone.state


@pytest.mark.parametrize("name", ["sloq", "hpa", "ray-serve", "keda", "surge", "max(sloq,hpa)"])
def test_under_any_policy_the_replicas_for_the_rise_are_there_before_it(name: str) -> None:
    decide = prepared(name)
    state: dict[str, Any] = {}
    seen = replace(CALM, daily_rates=with_rises())
    for tick in range(3):
        decision = decide(state, seen, 15.0 * tick)
        state, number = decision.state, decision.desired
        seen = replace(seen, desired=number, running=number)
    # 100 requests/s in 0.2 s are 20 of 4 slots each.
    assert 5 <= number <= 10


@pytest.mark.parametrize(
    ("current", "reason", "begins"),
    [(6, "up", "6 → 8: "), (8, "stabilized", "8 held: "), (9, "down", "9 → 8: ")],
)
def test_prepared_replicas_stay_until_the_rise(current: int, reason: str, begins: str) -> None:
    inner = {"recommendations": [[0.0, 1]], "changes": [], "asked": 1}
    seen = replace(CALM, desired=current, ready=current, running=current)
    assert build_policy("hpa", CONTEXT).policy(inner, seen, 15.0).desired == 1
    found = prepared("hpa")({"inner": inner}, replace(seen, daily_rates=with_rises()), 15.0)
    assert (found.desired, found.reason) == (8, reason)
    assert found.explanation.startswith(begins)


def test_a_job_that_starts_from_idle_is_sized_by_the_time_in_a_slot_of_before() -> None:
    decide = prepared("hpa")
    idle = replace(IDLE, slots_per_replica=4)
    before = decide({}, CALM, 0.0).state
    rates = [[0.0, 0.0], *[a_day(0, 100)] * 7]
    asked = decide(before, replace(idle, daily_rates=rates), 15.0)
    assert asked.desired == 8
    assert decide({}, replace(idle, daily_rates=rates), 15.0).desired == 1


@given(
    history=st.lists(ANY_SIGNALS | VALID_SIGNALS, min_size=1, max_size=5),
    rates=ANY_RATES | RATES | st.just(with_rises()),
)
@settings(max_examples=examples(60))
def test_it_only_ever_adds_replicas_and_teaches_the_policy_nothing(
    history: list[Signals], rates: Any
) -> None:
    for name in POLICIES:
        policy, decide = build_policy(name, CONTEXT).policy, prepared(name)
        states: list[dict[str, Any]] = [{}, {}]
        for number, seen in enumerate(history):
            alone = policy(states[0], seen, 5.0 * number)
            found = decide(states[1], replace(seen, daily_rates=rates), 5.0 * number)
            assert alone.desired <= found.desired <= max(alone.desired, 20), name
            assert found.slots == alone.slots, name
            states = [alone.state, json.loads(json.dumps(found.state))]
            assert states[1]["inner"] == json.loads(json.dumps(alone.state)), name


def test_what_is_unknown_or_has_come_is_not_prepared_for() -> None:
    decide = prepared("hpa")
    for change in (
        {"arrival_rate": None},
        {"arrival_rate": 100.0},
        {"age_seconds": 60.0},
        {"slots_per_replica": None},
        {"service_seconds": None},
    ):
        seen = replace(CALM, **change)
        alone = build_policy("hpa", CONTEXT).policy({}, seen, 5.0)
        found = decide({}, replace(seen, daily_rates=with_rises()), 5.0)
        assert (found.desired, found.explanation) == (alone.desired, alone.explanation)


def day_of_steps(random: np.random.Generator) -> Floats:
    """20 requests a second, and 80 for ten minutes from minute 20 on, give or take 20 s."""
    seconds = np.arange(0.0, 40 * MINUTE, 5.0)
    since = seconds - 20 * MINUTE - random.uniform(-20.0, 20.0)
    rates = np.where((since >= 0) & (since < 10 * MINUTE), 80.0, 20.0)
    return rates * random.lognormal(0.0, 0.2)


@pytest.mark.parametrize("policy", ["sloq:startup_seconds=90", "hpa:inflight=0.7"])
def test_a_daily_rise_is_prepared_for_while_replicas_start_slowly(policy: str) -> None:
    random = np.random.default_rng(7)
    earlier = tuple(random.poisson(day_of_steps(random) * 5.0) / 5.0 for _ in range(7))
    trace = Trace("daily", 5.0, day_of_steps(random), earlier=earlier)
    system = System(startup_seconds=90.0)
    found = {}
    for on in (0, 1):
        built = simulated_policy(f"{policy},predictive={on}", system)
        run = simulate(built.policy, trace, system, seed=0, tick_seconds=built.tick_seconds)
        found[on] = score(run, system.slo_seconds)
    assert found[1].violation_seconds < 0.5 * found[0].violation_seconds
    assert found[1].replica_seconds < 1.02 * found[0].replica_seconds


def test_a_trace_has_the_rates_of_its_earlier_days() -> None:
    step = np.repeat([10.0, 40.0], 720)
    trace = Trace("step", 5.0, np.full(1440, 20.0), earlier=(step, step[:600]))
    today, first, second = trace.daily_rates(3495.0)
    assert today == pytest.approx([20.0, 20.0])
    # 105 s later is the step, and a minute after that a rate over a minute shows all of it.
    assert first == pytest.approx([10.0, 10.0, 17.5, 40.0, 40.0, 40.0, 40.0, 40.0], abs=1e-6)
    assert second == []
    assert Trace("none", 5.0, step).daily_rates(3500.0) == []


def test_a_trace_of_several_days_has_its_own() -> None:
    trace = Trace("days", 3600.0, np.arange(72.0))
    at = 50 * 3600.0
    today, yesterday, before = trace.daily_rates(at)
    assert today == pytest.approx([49.0, 49.0])
    assert yesterday == pytest.approx([25.0, 25.0, *[26.0] * len(AHEAD_SECONDS)])
    assert before == pytest.approx([1.0, 1.0, *[2.0] * len(AHEAD_SECONDS)])
