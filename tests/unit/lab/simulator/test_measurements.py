"""The simulated metrics, with and without blackouts."""

import math

import numpy as np
import pytest

from tidegate.autoscaler.types import Signals
from tidegate.lab.simulator.measurements import SimulatedMetrics
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Blackout

# Ten a second, each a quarter past, for 100 s; each waits 0.5 s and is worked on for 1 s.
ARRIVALS = np.arange(0, 100, 0.1) + 0.025
SYSTEM = System(scrape_seconds=2.0, slo_seconds=2.0)


def metrics(*blackouts: Blackout, system: System = SYSTEM) -> SimulatedMetrics:
    made = SimulatedMetrics(system, 200.0, ARRIVALS, blackouts)
    made.record_started((ARRIVALS[:500] + 0.5).tolist(), np.ones(1000))
    made.record_started((ARRIVALS + 0.5).tolist(), np.ones(1000))
    return made


def read(now: float, *blackouts: Blackout) -> Signals:
    return metrics(*blackouts).read(now, ready=3, running=4, desired=5)


def test_signals_are_those_of_the_last_scrape() -> None:
    seen = read(61.0)
    assert (seen.age_seconds, seen.ready, seen.running, seen.desired) == (1.0, 3, 4, 5)
    assert seen.arrival_rate == pytest.approx(10)
    assert seen.arrival_rate_60s == pytest.approx(10)
    assert seen.service_seconds == pytest.approx(1.0)
    # Little's law: 10/s for 0.5 s wait, for 1 s are worked on.
    assert (seen.queued, seen.busy, seen.in_system) == (5, 10, 15)
    assert seen.completed_rate == pytest.approx(10)
    assert seen.slots_per_replica == 4


def test_a_scrape_at_the_time_of_the_tick_is_too_late() -> None:
    assert read(60.0).age_seconds == 2.0


def test_quantiles_are_interpolated_in_buckets() -> None:
    # All take 1.0 s, in the bucket (0.63, 1.0]; and 1.5 s, in the bucket (1.0, 1.6].
    assert read(61.0).service_seconds_p95 == pytest.approx(0.63 + 0.37 * 0.95)
    assert read(61.0).latency_seconds == pytest.approx(1.0 + 0.6 * 0.95)


def test_requests_leave_at_the_rate_at_which_they_are_finished() -> None:
    # Twice as many arrive as are worked on: 10/s for 100 s, of which 5/s end, for 200 s.
    made = SimulatedMetrics(SYSTEM, 200.0, ARRIVALS)
    made.record_started((2 * ARRIVALS).tolist(), np.full(1000, 0.5))
    seen = {now: made.read(now, ready=1, running=1, desired=1) for now in (0.5, 2.5, 61.0, 161.0)}
    assert [one.completed_rate for one in seen.values()] == pytest.approx([0, 4, 5, 5], abs=0.1)
    assert (seen[61.0].arrival_rate, seen[161.0].arrival_rate) == pytest.approx((10, 0))


def test_rates_fall_to_zero_after_the_last_request() -> None:
    seen = read(111.0)
    assert seen.arrival_rate == pytest.approx(10 * 4 / 14, rel=0.1)
    assert seen.in_system == 0
    gone = read(199.0)
    assert (gone.arrival_rate, gone.arrival_rate_60s) == (0.0, 0.0)
    assert (gone.service_seconds, gone.service_seconds_p95, gone.latency_seconds) == (None,) * 3


def test_the_busiest_replica_assumes_an_evenly_spreading_gateway() -> None:
    # Ten are worked on; three replicas have four of them at least, and the third of four that left too.
    assert read(61.0).busiest == 4.0
    seen = metrics()
    assert [seen.read(now, ready=n, running=n, desired=n).busiest for now, n in STAFF] == [3, 3, 5]


STAFF = ((40.0, 4), (45.0, 2), (110.0, 2))


def test_missing_and_nan_and_frozen_metrics() -> None:
    missing = read(61.0, Blackout(60, 70, "missing"))
    assert {missing.arrival_rate, missing.in_system, missing.age_seconds} == {None}
    assert missing.problem
    nan = read(61.0, Blackout(60, 70, "nan"))
    assert all(math.isnan(value or 0) for value in (nan.arrival_rate, nan.in_system))
    frozen = metrics(Blackout(60, 70, "frozen"))
    before = frozen.read(59.0, ready=1, running=1, desired=1)
    for now in (60.0, 65.0, 69.9):
        assert frozen.read(now, ready=1, running=1, desired=1) == before
    assert frozen.read(70.0, ready=1, running=1, desired=1) != before


def test_after_a_reset_rates_restart_and_recover() -> None:
    blackout = Blackout(60, 90, "reset")
    assert read(61.0, blackout).arrival_rate == 0.0
    assert read(65.0, blackout).arrival_rate == pytest.approx(10)
    assert read(61.0, blackout).completed_rate == 0.0
    assert read(65.0, blackout).completed_rate == pytest.approx(10)


def test_only_measured_values_can_freeze() -> None:
    seen = metrics(Blackout(0, 70, "frozen")).read(61.0, ready=1, running=1, desired=1)
    assert seen.arrival_rate is None
