"""Rises that most earlier days had at this time."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.samples.signals import CALM
from tidegate.autoscaler.audit.replay import replay
from tidegate.autoscaler.policy_builder import build_policy
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.simulator.run import simulate
from tidegate.autoscaler.simulator.score import score
from tidegate.autoscaler.simulator.simulated_policy import simulated_policy
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.simulator.traces import Floats, Trace
from tidegate.autoscaler.sloq.days import AHEAD_SECONDS, DailyRise, daily_rise
from tidegate.autoscaler.types import Bounds, Decision

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


@given(ANY_RATES | RATES, st.floats(0, 500), st.integers(1, 20))
def test_it_only_ever_adds_replicas(rates: Any, rate: float, current: int) -> None:
    seen = replace(CALM, arrival_rate=rate, desired=current, ready=current, running=current)
    plain, found = SLOQ({}, seen, 5.0), SLOQ({}, replace(seen, daily_rates=rates), 5.0)
    assert plain.desired <= found.desired <= 20


def test_the_decision_says_what_is_expected_and_why() -> None:
    rates = [[10.0, 10.0], NONE, NONE, *[a_day(10, 100)] * 5]
    found = SLOQ({}, replace(CALM, daily_rates=rates), 5.0)
    # As many as it wants once they are there, if there are enough replicas that no queue is to be expected.
    busy = replace(CALM, arrival_rate=100.0, arrival_rate_60s=100.0, ready=20, running=20)
    there = SLOQ({}, busy, 5.0)
    assert (found.desired, found.reason) == (there.desired, "up")
    assert (
        "; 100 requests/s are expected within 2 min: 5 of 7 earlier days had that rise at this time"
    ) in found.explanation
    inputs = found.inputs
    assert (inputs["rate_daily"], inputs["daily_days"], inputs["daily_with_rise"]) == (100.0, 7, 5)


def test_without_earlier_days_or_with_the_option_off_it_decides_as_without() -> None:
    plain = SLOQ({}, CALM, 5.0)
    off = build_policy("sloq:days=0", CONTEXT).policy
    with_days = replace(CALM, daily_rates=[[10, 10], *[a_day(10, 100)] * 7])
    for found in (
        SLOQ({}, replace(CALM, daily_rates=[[10, 10], *[a_day(10, 100)] * 2]), 5.0),
        off({}, with_days, 5.0),
    ):
        assert _all_but_days(found) == _all_but_days(plain)


def _all_but_days(decision: Decision) -> Decision:
    inputs = {
        name: value
        for name, value in decision.inputs.items()
        if "daily" not in name and name != "parameters"
    }
    return replace(decision, inputs=inputs)


def test_decisions_recorded_with_it_replay() -> None:
    days = tuple(tuple(day) for day in [NONE[:2], *[a_day(10, 100)] * 7])
    seen = replace(CALM, daily_rates=days)
    found = SLOQ({}, seen, 5.0)
    event = {
        "policy": "sloq",
        "inputs": found.inputs,
        "state": {},
        "signals": asdict(seen),
        "now": 5.0,
    }
    again = replay({"tidegate": {"decision": json.loads(json.dumps(event))}})
    assert found.inputs["rate_daily"] == 100.0
    assert again == found


def test_the_history_is_read_unless_it_is_turned_off() -> None:
    for name in ("sloq", "surge", "vertical", "max(sloq,hpa)"):
        assert build_policy(name, CONTEXT).uses_history
    assert build_policy("predictive:days=0", CONTEXT).uses_history
    for name in ("sloq:days=0", "hpa", "max(sloq:days=0,hpa)"):
        assert not build_policy(name, CONTEXT).uses_history


def day_of_steps(random: np.random.Generator) -> Floats:
    """20 requests a second, and 80 for ten minutes from minute 20 on, give or take 20 s."""
    seconds = np.arange(0.0, 40 * MINUTE, 5.0)
    since = seconds - 20 * MINUTE - random.uniform(-20.0, 20.0)
    rates = np.where((since >= 0) & (since < 10 * MINUTE), 80.0, 20.0)
    return rates * random.lognormal(0.0, 0.2)


def test_a_daily_rise_is_prepared_for_while_replicas_start_slowly() -> None:
    random = np.random.default_rng(7)
    earlier = tuple(random.poisson(day_of_steps(random) * 5.0) / 5.0 for _ in range(7))
    trace = Trace("daily", 5.0, day_of_steps(random), earlier=earlier)
    system = System(startup_seconds=90.0)
    found = {}
    for days in (0, 1):
        built = simulated_policy(f"sloq:startup_seconds=90,days={days}", system)
        found[days] = score(simulate(built.policy, trace, system, seed=0), system.slo_seconds)
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
