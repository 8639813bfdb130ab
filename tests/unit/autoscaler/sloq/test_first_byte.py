"""An objective for the first byte: a slot is busy until the last one, and counts until the first one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.harnesses.sloq_loop import CALM
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.types import Bounds, Decision, Signals
from tidegate.lab.simulator.comparison import TraceSpec, run_one
from tidegate.lab.simulator.score import score
from tidegate.lab.simulator.system import RequestKind, System

FIRST_BYTE = SloqParameters(min=1, max=40, slo_seconds=0.5, until="first_byte")
LAST_BYTE = replace(FIRST_BYTE, until="last_byte")
# 2 streams a second of 20 s each are 40 slots of work: 10 replicas of 4 slots if no request ever waited.
STREAMS = replace(
    CALM,
    arrival_rate=2.0,
    arrival_rate_60s=2.0,
    service_seconds=20.0,
    service_seconds_p95=0.2,
    in_system=40.0,
    busy=40.0,
    latency_seconds=0.3,
    ready=14,
    running=14,
    desired=14,
)


def decide(parameters: SloqParameters, signals: Signals) -> Decision:
    return sloq(parameters)({}, signals, 5.0)


@pytest.mark.parametrize(
    ("changed", "needed", "meetable"),
    [
        # Erlang C with 40 slots of work: 56 slots leave at most 1 % of the requests waiting for 0.3 s.
        ({}, 14, True),
        # Half of the streams need more than half: 32 slots for 20 slots of work.
        ({"arrival_rate": 1.0, "arrival_rate_60s": 1.0, "in_system": 20.0, "busy": 20.0}, 8, True),
        # Nothing is left for the queue, so the least wait is allowed.
        ({"service_seconds_p95": 0.49}, 15, True),
        # Before a first byte is measured, the time in a slot says nothing about it.
        ({"service_seconds_p95": None}, 15, True),
        # The first byte alone takes longer than the objective: more replicas only keep up with the work.
        ({"service_seconds_p95": 0.7}, 11, False),
    ],
)
def test_streams_need_slots_for_their_whole_time_and_meet_the_objective_by_their_first_byte(
    changed: dict[str, Any], needed: int, *, meetable: bool
) -> None:
    decision = decide(FIRST_BYTE, replace(STREAMS, **changed))
    assert (decision.inputs["wanted"], decision.inputs["meetable"]) == (needed, meetable)
    assert decision.desired < FIRST_BYTE.max


def test_the_same_streams_cannot_meet_an_objective_for_their_last_byte() -> None:
    decision = decide(LAST_BYTE, STREAMS)
    assert not decision.inputs["meetable"]
    assert "the time in a slot alone is" in decision.explanation


def test_simulated_streams_meet_the_objective_with_the_replicas_that_their_work_needs() -> None:
    system = System(
        slots=4,
        kinds=(RequestKind(1.0, 10.0),),
        slo_seconds=0.5,
        bounds=Bounds(1, 40),
        start=6,
        first_byte_share=0.02,
    )
    run = run_one("sloq", TraceSpec("steady", 2.0), system, 0)
    late = score(run, system.slo_seconds).over_slo_ratio
    assert late < 0.05
    # 2 streams a second of 10 s are 20 slots of work, at least 5 replicas. The rate over 15 s
    # is that of 30 requests, so SLOQ covers its noise, but it is far from the maximum.
    assert 5 < run.replica_seconds / run.seconds < 20
    assert float(run.responses.max()) < 10
