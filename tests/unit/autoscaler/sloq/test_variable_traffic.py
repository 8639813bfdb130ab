"""SLOQ on traffic that is not Poisson: what it measures, and what it does about it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from support.harnesses.sloq_loop import CALM, PARAMETERS, SloqLoop
from tidegate.autoscaler.simulator.comparison import TraceSpec, run_one
from tidegate.autoscaler.simulator.score import Score, score
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.sloq.demand import forecast, learn_peakedness, recent_rate


def learned(samples: list[float], mean: float, most: float = 10.0) -> float:
    peakedness = 1.0
    for sample in samples:
        peakedness = learn_peakedness(peakedness, sample, mean, most=most)
    return peakedness


@pytest.mark.parametrize("z", [1.0, 3.0, 6.0])
def test_the_peakedness_of_the_requests_in_the_system_is_learned(z: float) -> None:
    random = np.random.default_rng(0)
    samples = np.maximum(0.0, random.normal(40.0, math.sqrt(40.0 * z), 2000))
    found = [learned(samples[:stop].tolist(), 40.0) for stop in range(500, 2000, 100)]
    assert np.mean(found) == pytest.approx(max(1.2, z), rel=0.2)


def test_random_arrivals_hardly_count_as_variable() -> None:
    random = np.random.default_rng(0)
    samples = np.maximum(0.0, random.normal(40.0, math.sqrt(40.0), 4000)).tolist()
    found = [learned(samples[:stop], 40.0) for stop in range(400, 4000, 40)]
    assert np.quantile(found, 0.9) < 1.4


def test_one_outlier_moves_the_peakedness_little_and_it_is_bounded() -> None:
    assert learned([1e6], 40.0) < 1.2
    assert learned([1e6] * 500, 40.0) == 10.0
    assert learned([1e6] * 500, 40.0, most=1.0) == 1.0


def test_hardly_any_traffic_teaches_nothing_and_forgets() -> None:
    assert learn_peakedness(5.0, 100.0, 0.5, most=10.0) == pytest.approx(4.95)


def test_the_rate_of_the_last_five_seconds_follows_from_windows_of_fifteen() -> None:
    rates = tuple((5.0 * tick, 20.0) for tick in range(4))
    # 5 s of 80/s after 10 s of 20/s.
    assert recent_rate(rates, 40.0, 20.0) == pytest.approx(80.0)
    assert recent_rate(rates, 20.0, 20.0) == pytest.approx(20.0)
    assert recent_rate(rates[:1], 40.0, 20.0) is None


def test_a_burst_counts_at_once_but_only_if_it_is_no_chance() -> None:
    burst = {"horizon_seconds": 35.0, "sigmas": 99.0, "max_factor": 2.0, "burst_sigmas": 4.0}
    assert forecast(40.0, 25.0, burst_rate=80.0, **burst).now == 80.0
    # 4 deviations of the counts of 5 s: √(25/5)·4 = 8.9.
    assert forecast(27.0, 25.0, burst_rate=33.0, **burst).now == 27.0
    assert forecast(40.0, 25.0, burst_rate=50.0, peakedness=9.0, **burst).now == 40.0


def test_a_quantile_of_a_few_requests_raises_neither_margin_nor_strain() -> None:
    loop = SloqLoop(arrival_rate=0.1, arrival_rate_60s=0.1, in_system=0.0, busy=0.0, queued=0.0)
    for number in range(40):
        found = loop.tick(latency_seconds=0.9 + number / 1000)
    assert (found.inputs["margin"], found.inputs["strain"]) == (0, 1)


def test_a_service_that_is_slower_now_counts_before_the_minute_is_over() -> None:
    slow = SloqLoop().tick(service_seconds_15s=0.4, service_seconds_p95=0.25)
    assert slow.inputs["service_seconds"] == pytest.approx(0.4)
    # Twice 0.46 s is over the objective: replicas would not help.
    broken = SloqLoop().tick(service_seconds_15s=0.4)
    assert broken.inputs["service_seconds"] == pytest.approx(0.2)
    # 750 requests in 15 s: three standard errors are 11 %.
    chance = SloqLoop().tick(service_seconds_15s=0.22)
    assert chance.inputs["service_seconds"] == pytest.approx(0.2)


def test_long_waits_raise_the_strain_and_a_slow_service_does_not() -> None:
    waits, serves = SloqLoop(), SloqLoop()
    for number in range(40):
        late = 0.9 + number / 1000
        waited = waits.tick(latency_seconds=late)
        serves.tick(latency_seconds=late, service_seconds_p95=0.7)
    assert waited.inputs["strain"] > 3
    assert "times as long because latency exceeded the objective" in waited.explanation
    # With p95 at 0.59 s, 0.62 s are hardly waiting.
    fine = SloqLoop(service_seconds_p95=0.59)
    for number in range(40):
        found = fine.tick(latency_seconds=0.62 + number / 100_000)
    assert found.inputs["strain"] == 1
    served = serves.tick(latency_seconds=0.95, service_seconds_p95=0.7)
    assert served.inputs["strain"] == 1


def test_neither_margin_nor_strain_fades_while_replicas_start() -> None:
    loop = SloqLoop()
    for number in range(40):
        grown = loop.tick(latency_seconds=0.9 + number / 1000)
    for number in range(40):
        kept = loop.tick(latency_seconds=0.9 + number / 1000, ready=4, running=9)
    assert kept.inputs["margin"] >= grown.inputs["margin"] > 0
    assert kept.inputs["strain"] >= grown.inputs["strain"] > 1


def test_a_decision_shows_measured_latency_against_the_objective() -> None:
    over = SloqLoop().tick(latency_seconds=0.6004).explanation
    assert "p95 of the last minute is 0.6004 s, over the objective of 0.6 s" in over
    assert "p95" not in SloqLoop().tick(latency_seconds=None).explanation


def test_a_size_beyond_the_maximum_is_not_said_to_keep_the_objective() -> None:
    loop = SloqLoop(replace(PARAMETERS, max=3), desired=3, ready=3, running=3)
    explanation = loop.tick(arrival_rate=250.0, arrival_rate_60s=250.0).explanation
    assert "should keep" not in explanation
    assert "at least 4 replicas are needed" in explanation
    assert "the maximum is 3" in explanation


def test_the_window_that_binds_is_named() -> None:
    loop = SloqLoop(desired=5, ready=5, running=5)
    loop.ticks(40)
    loop.tick(in_system=500.0, busy=20.0, queued=480.0)
    assert "of the last 60 s" in loop.ticks(3)[-1].explanation


def of(expression: str, name: str) -> Score:
    spec = TraceSpec(name)
    return score(run_one(expression, spec, System(), 0), spec.system(System()).slo_seconds)


def test_batches_are_served_in_time_most_of_the_time() -> None:
    # Taken for Poisson arrivals, all of the 5,400 s were late.
    assert of("sloq", "batches").violation_seconds < 2200 < CALM.desired * 1000


def test_replicas_with_queues_of_their_own_are_not_taken_for_smaller_ones() -> None:
    run = run_one("sloq", TraceSpec("per-replica-queues"), System(), 0)
    learned_slots = [t.decision.inputs.get("slots_per_replica") for t in run.ticks if t.at > 300]
    assert np.mean([slots == 4 for slots in learned_slots]) > 0.95
