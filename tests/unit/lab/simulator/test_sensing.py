"""The gateway's counters in simulated time: what a policy is asked between two ticks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tidegate.autoscaler.types import Bounds, Decision, Signals
from tidegate.lab.simulator.run import Run, simulate
from tidegate.lab.simulator.simulated_policy import run_policy
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Trace

SYSTEM = System(start=1, startup_seconds=1.0)
# 4 requests a second, from second 62 on 60, which one replica with 20 a second cannot serve.
JUMP = Trace("jump", 1.0, np.array([4.0] * 62 + [60.0] * 38))


def asked(trace: Trace, *, add: int = 1) -> Run:
    """A run of a policy that keeps the number at its ticks, and adds some when it is asked in between."""

    def decide(state: dict[str, Any], signals: Signals, _: float) -> Decision:
        number = min(30, signals.desired + add * signals.between)
        return Decision(number, "hold", "", {}, {**state, "calls": state.get("calls", 0) + 1})

    return simulate(decide, trace, SYSTEM, seed=1, uses_gateway=True)


def test_a_jump_is_decided_on_within_two_seconds_of_it() -> None:
    between = [tick for tick in asked(JUMP).ticks if tick.signals.between]
    assert 62.5 <= between[0].at <= 64
    assert between[0].signals.gateway_arrivals or between[0].signals.gateway_queued
    assert all(tick.at % 5 for tick in between)


def test_signals_of_prometheus_are_those_of_the_tick_before_and_grow_old() -> None:
    ticks = asked(JUMP).ticks
    first = next(number for number, tick in enumerate(ticks) if tick.signals.between)
    before, tick = ticks[first - 1], ticks[first]
    assert tick.signals.arrival_rate == before.signals.arrival_rate
    assert before.signals.age_seconds is not None
    assert tick.signals.age_seconds == before.signals.age_seconds + tick.at - before.at


def test_a_decision_that_adds_none_is_dropped_with_its_state() -> None:
    run = asked(JUMP, add=0)
    assert len(run.ticks) == run.ticks[-1].decision.state["calls"] == 19


def test_nothing_is_asked_between_ticks_while_the_rate_stays() -> None:
    steady = Trace("steady", 1.0, np.full(300, 10.0))
    assert not any(tick.signals.between for tick in asked(steady).ticks)


def test_start_ups_are_those_of_the_replicas_that_became_ready() -> None:
    run = asked(JUMP)
    assert run.ticks[0].signals.startups == [1.0]
    assert run.ticks[-1].signals.startups == [1.0] * min(20, run.ticks[-1].signals.ready)


@pytest.mark.parametrize("policy", ["sloq", "hpa"])
def test_from_zero_the_first_request_is_seen_within_half_a_second(policy: str) -> None:
    system = replace(SYSTEM, bounds=Bounds(0, 5), start=0)
    run = run_policy(policy, Trace("first", 1.0, np.array([0.0] * 62 + [5.0] * 20)), system, 1)
    up = next(tick for tick in run.ticks if tick.decision.desired)
    assert 62 < up.at <= run.arrivals[0] + 0.5


def test_sloq_adds_replicas_before_its_next_tick() -> None:
    run = run_policy("sloq", JUMP, SYSTEM, 1)
    up = next(tick for tick in run.ticks if tick.decision.desired > tick.signals.desired)
    assert 62.5 <= up.at <= 64
