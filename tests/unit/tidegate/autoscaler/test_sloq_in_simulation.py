"""SLOQ in charge of the simulated service: what it promises, held to numbers."""

from dataclasses import replace

import numpy as np
import pytest

from tidegate.autoscaler.simulator.contenders import contender
from tidegate.autoscaler.simulator.library import find
from tidegate.autoscaler.simulator.run import Run, simulate
from tidegate.autoscaler.simulator.score import Score, score
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.simulator.traces import Blackout, Blindness, Trace

SYSTEM = System()


def run(words: str, trace: Trace, system: System = SYSTEM, seed: int = 0) -> Run:
    one = contender(words, system)
    return simulate(one.policy, trace, system, seed=seed, tick_seconds=one.tick_seconds)


def judge(words: str, name: str) -> Score:
    return score(run(words, find(name)), SYSTEM.slo_seconds)


def cost_after(run: Run, seconds: float) -> float:
    """Replicas asked for, in the mean from that time on."""
    return float(np.mean([t.decision.desired for t in run.ticks if t.at >= seconds]))


@pytest.mark.parametrize(("name", "hours"), [("steady", 1), ("diurnal", 6)])
def test_it_is_calm_when_traffic_is(name: str, hours: int) -> None:
    assert judge("sloq", name).reversals <= 2 * hours


@pytest.mark.parametrize("name", ["steady", "spike", "lost-metrics"])
def test_it_costs_less_than_hpa_for_no_more_harm(name: str) -> None:
    ours, theirs = judge("sloq", name), judge("hpa:inflight=0.7", name)
    assert ours.violation_seconds <= theirs.violation_seconds
    assert ours.replica_seconds <= 0.9 * theirs.replica_seconds


@pytest.mark.parametrize("told", [2, 8])
def test_slots_set_wrong_by_two_are_learned_within_15_minutes(told: int) -> None:
    right = cost_after(run("sloq", find("steady")), 900)
    wrong = cost_after(run("sloq", find("steady"), replace(SYSTEM, reported_slots=told)), 900)
    assert wrong == pytest.approx(right, rel=0.2)


@pytest.mark.parametrize("service_seconds", [0.1, 0.4])
def test_a_service_time_set_wrong_by_two_is_learned_within_15_minutes(
    service_seconds: float,
) -> None:
    right = cost_after(run("sloq:service_seconds=0.2", find("steady")), 900)
    wrong = cost_after(run(f"sloq:service_seconds={service_seconds}", find("steady")), 900)
    assert wrong == pytest.approx(right, rel=0.2)


@pytest.mark.parametrize("kind", ["missing", "nan", "frozen", "reset"])
def test_ten_minutes_without_metrics_take_no_replica_away(kind: Blindness) -> None:
    # The load falls to a third as soon as nothing is seen any more.
    fall = np.where(np.arange(0, 2400, 5) < 600, 90.0, 30.0)
    blind = (Blackout(600, 1200, kind),)
    ticks = run("sloq", Trace("fall", 5.0, fall, blackouts=blind)).ticks
    during = [t for t in ticks if 600 <= t.at < 1200]
    if kind == "reset":
        # Counters that begin anew are rates again soon: it must not fall before they are.
        during = [t for t in during if t.at < 660]
    assert all(t.decision.desired >= t.signals.desired for t in during)
    # And it falls once the signals are back.
    assert ticks[-1].decision.desired < during[0].signals.desired


def test_a_broken_dependency_does_not_take_it_to_the_maximum() -> None:
    ticks = run("sloq", find("outage")).ticks
    assert max(t.decision.desired for t in ticks) < 20
    assert any("cannot be met by adding replicas" in t.decision.explanation for t in ticks)
