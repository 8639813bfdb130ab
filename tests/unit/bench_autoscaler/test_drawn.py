"""Draws are always the same, within their ranges, and compared with the better HPA."""

from __future__ import annotations

import numpy as np
import pytest

from bench.autoscaler.cells import BASELINES, FLOOR, HPAS, SLOQ
from bench.autoscaler.drawn import (
    OFF,
    Drawn,
    Foresight,
    foreseeing,
    mean_ahead,
    peak_ahead,
    summary,
)
from bench.autoscaler.draws import MAX_REQUESTS, MIN_REQUESTS, SHAPES, draw
from tidegate.autoscaler.types import Decision, Signals
from tidegate.lab.simulator.score import Score
from tidegate.lab.simulator.simulated_policy import simulated_policy
from tidegate.lab.simulator.system import System

DRAWS = [draw(number) for number in range(60)]


def test_a_number_is_always_the_same_draw() -> None:
    one, other = draw(7), DRAWS[7]
    assert one.system == other.system
    assert np.array_equal(one.trace.rates, other.trace.rates)


def test_draws_have_every_shape_and_can_be_simulated() -> None:
    assert {one.trace.name.partition("-")[2] for one in DRAWS} == set(SHAPES)
    for one in DRAWS:
        total = one.trace.rates.sum() * one.trace.interval_seconds
        assert MIN_REQUESTS <= total <= MAX_REQUESTS
        # As many replicas as allowed serve the highest rate.
        slots = one.system.bounds.max * one.system.slots
        assert one.trace.rates.max() * one.system.service_seconds < slots
        assert one.system.slo_seconds > one.system.service_seconds


@pytest.mark.parametrize("options", OFF.values())
def test_what_an_ablation_turns_off_is_an_option(options: str) -> None:
    assert simulated_policy(f"{SLOQ}:{options}", System())


@pytest.mark.parametrize(("known", "rate"), [(mean_ahead, 0.3), (peak_ahead, 0.4)])
def test_an_oracle_is_told_a_rate_of_the_next_seconds(known: Foresight, rate: float) -> None:
    seen: list[Signals] = []

    def record(state: dict[str, object], signals: Signals, now: float) -> Decision:
        seen.append(signals)
        return Decision(1, "hold", "", {}, {})

    arrivals = np.array([1.0, 12.0, 13.0, 18.0, 26.0, 27.0, 28.0])
    foreseeing(record, known, arrivals, 10.0)({}, Signals(9.0, 1, 1, 4, 1, 1, 1, None, 0.0), 11.0)
    assert (seen[0].arrival_rate, seen[0].arrival_rate_60s) == (rate, rate)


def test_a_policy_simulated_on_a_draw_gets_the_same_requests_as_another() -> None:
    few, most = (Drawn(policy, 10).simulate() for policy in ("step", FLOOR))
    assert few.requests == most.requests
    assert few.replica_seconds < most.replica_seconds


def test_the_result_counts_avoidable_violations_and_dominance() -> None:
    late = dict.fromkeys((*BASELINES, "oracle"), (210.0, 90_000.0))
    late |= {FLOOR: (10.0, 300_000.0), SLOQ: (110.0, 80_000.0), HPAS[0]: (210.0, 100_000.0)}
    late |= {"kpa": (60.0, 70_000.0)}
    table = {(policy, "1"): [Score(*pair, 0.0, 0.0)] for policy, pair in late.items()}
    lines = list(summary(table, ["1"], {}))
    assert lines[0].startswith("10 violation-seconds are unavoidable")
    assert f"| {SLOQ} | 100 · 80 | 0.50 | 0.89 | 100.0% | 0.0% |" in lines
