"""A service that suddenly slows down, where the objective could still be met."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.components import AT_NIGHT
from support.harnesses.sloq_loop import CALM, PARAMETERS
from tidegate.autoscaler.simulator.comparison import TraceSpec, run_one
from tidegate.autoscaler.simulator.score import Score, score
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.types import Decision, Signals


def at_rate(rate: float) -> Signals:
    """Requests take 0.2 s in the mean, and p95 is 0.46 s; no queue is to be expected."""
    return replace(
        CALM,
        arrival_rate=rate,
        arrival_rate_60s=rate,
        in_system=rate / 5,
        busy=rate / 5,
        ready=40,
        running=40,
    )


def decide(rate: float, **parameters: Any) -> Decision:
    return sloq(replace(PARAMETERS, max=60, **parameters))({}, at_rate(rate), 5.0)


@pytest.mark.parametrize(
    ("rate", "slo_seconds", "without", "replicas"),
    [
        # 10 slots of work. At twice the time, 20 slots are as many as the work, and 16 are not.
        (50.0, 1.2, 4, 5),
        # Requests of twice the time would not keep these, however many replicas there were.
        (50.0, 0.6, 4, 4),
        (50.0, 0.5, 4, 4),
        # One replica that keeps the objective is enough.
        (10.0, 1.2, 1, 1),
        # What is added grows with the root of the load only: 114 slots instead of 110 for 100 slots of work.
        (500.0, 1.2, 28, 29),
    ],
)
def test_room_is_kept_for_a_slowdown_that_the_objective_allows(
    rate: float, slo_seconds: float, without: int, replicas: int
) -> None:
    assert decide(rate, slo_seconds=slo_seconds, slowdown_most=1.0).inputs["wanted"] == without
    assert decide(rate, slo_seconds=slo_seconds).inputs["wanted"] == replicas


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=AT_NIGHT)])
def test_a_service_twice_as_slow_violates_no_more_than_with_hpa_at_less_cost(seed: int) -> None:
    spec = TraceSpec("slow-service")
    system = spec.system(System())

    def scored(expression: str) -> Score:
        return score(run_one(expression, spec, System(), seed), system.slo_seconds)

    ours, theirs = scored("sloq"), scored("hpa:inflight=0.7")
    assert ours.violation_seconds <= theirs.violation_seconds
    assert ours.replica_seconds < theirs.replica_seconds
    assert ours.violation_seconds < scored("sloq:slowdown_most=1").violation_seconds
