"""Families of synthetic traffic, the services that they meet, and how requests arrive."""

import numpy as np
import pytest

from tidegate.autoscaler.types import Bounds
from tidegate.lab.simulator.comparison import TraceSpec
from tidegate.lab.simulator.families import FAMILIES, OPERATING_POINTS
from tidegate.lab.simulator.named_traces import find_trace
from tidegate.lab.simulator.system import System, at_operating_point
from tidegate.lab.simulator.traces import Arrivals, Trace
from tidegate.lab.simulator.workload import generate_workload


def counts(arrivals: Arrivals, rate: float = 20.0, seed: int = 0) -> np.ndarray:
    """The requests of each of 2000 seconds."""
    trace = Trace("one", 1.0, np.full(2000, rate), arrivals=arrivals)
    times = generate_workload(trace, System(), seed).arrivals
    return np.bincount(times.astype(int), minlength=2000)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_a_trace_with_a_known_service(name: str) -> None:
    trace = find_trace(name)
    assert (trace.name, FAMILIES[name].operating_point in OPERATING_POINTS) == (name, True)
    requests = trace.rates.sum() * trace.interval_seconds
    assert 5_000 < requests < 2_000_000
    assert TraceSpec(name).system(System()).bounds.min == 1


def test_clumped_counts_have_the_dispersion_that_is_asked_for() -> None:
    found = counts(Arrivals("clumped", dispersion=10.0))
    assert found.mean() == pytest.approx(20, rel=0.1)
    assert found.var() / found.mean() == pytest.approx(10, rel=0.2)


def test_exact_counts_are_those_of_the_trace_and_lose_no_request() -> None:
    assert set(counts(Arrivals("exact"))) == {20}
    thirds = counts(Arrivals("exact"), rate=1 / 3)
    assert set(thirds) == {0, 1}
    assert thirds.sum() == round(2000 / 3)


def test_a_batch_arrives_at_once() -> None:
    trace = Trace("one", 10.0, np.full(6, 10.0), arrivals=Arrivals("exact", together=True))
    times = generate_workload(trace, System(), 0).arrivals
    assert sorted(set(times.tolist())) == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    assert len(times) == 600


def test_noise_of_the_rate_differs_with_the_seed_and_is_repeatable() -> None:
    noisy = Arrivals(noise_cv=0.5, noise_seconds=120.0)
    one, again, other = (counts(noisy, seed=seed) for seed in (1, 1, 2))
    assert one.tolist() == again.tolist() != other.tolist()
    # A factor that lasts two minutes makes neighbouring seconds alike.
    assert np.corrcoef(one[:-1], one[1:])[0, 1] > 0.5


def test_an_operating_point_changes_the_service_and_what_is_given_wins() -> None:
    fast = at_operating_point(System(), "small-fast", slots=6, maximum=50)
    assert (fast.slots, fast.slo_seconds, fast.bounds) == (6, 0.2, Bounds(1, 50))
    assert fast.service_seconds == pytest.approx(0.05)
    with pytest.raises(ValueError, match="unknown operating point 'fast'; known: default, "):
        at_operating_point(System(), "fast")
