"""The simulated service: first come, first served, by replicas that start and stop."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.erlang import wait_exceeds
from tidegate.autoscaler.types import Bounds, Decision, Signals
from tidegate.lab.simulator.replicas import SimulatedService
from tidegate.lab.simulator.run import simulate
from tidegate.lab.simulator.system import RequestKind, System
from tidegate.lab.simulator.traces import Slowness, Trace
from tidegate.lab.simulator.workload import Workload, workload_from_plan

FOREVER = math.inf


def service(*requests: tuple[float, float], slots: int = 1, start: int = 1) -> SimulatedService:
    """Replicas that take 10 s to start, before requests of (arrival, service)."""
    arrivals, services = zip(*requests, strict=True)
    made = SimulatedService(slots, 10.0, Workload(np.array(arrivals), np.array(services)))
    made.start_ready(start)
    return made


def keep(number: int) -> Decision:
    return Decision(number, "hold", "", {}, {})


def by_hand(arrivals: list[float], services: list[float], slots: int) -> list[float]:
    """A simple reference: each request takes the slot that becomes free first."""
    free, starts = [0.0] * slots, []
    for arrival, service in zip(arrivals, services, strict=True):
        first = free.index(min(free))
        starts.append(max(arrival, free[first]))
        free[first] = starts[-1] + service
    return starts


@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 20)), min_size=1, max_size=40),
    st.integers(1, 5),
)
def test_the_queue_does_not_depend_on_how_time_is_divided(
    gaps: list[tuple[float, float]], slots: int
) -> None:
    arrivals = np.cumsum([gap for gap, _ in gaps]).tolist()
    services = [service for _, service in gaps]
    one = service(*zip(arrivals, services, strict=True), slots=slots)
    for until in (1.0, 7.0, 50.0, FOREVER):
        one.serve(until)
    assert one.started == by_hand(arrivals, services, slots)


def test_a_new_replica_takes_over_the_backlog_at_once() -> None:
    one = service((0, 100), (1, 1), (2, 1))
    one.resize(2, now=3.0)
    assert (one.ready, one.running, one.next_ready()) == (1, 2, 13.0)
    one.serve(13.0)
    one.make_ready(13.0)
    one.serve(FOREVER)
    assert one.started == [0, 13, 14]
    assert (one.ready, one.running, one.next_ready()) == (2, 2, FOREVER)


def test_the_least_busy_replica_is_stopped_and_finishes_its_requests() -> None:
    # Two replicas with two slots: the first request goes to one, the other two to ... the one that is
    # free; at 3 s one has both slots busy, the other one.
    one = service((0, 9), (0, 8), (0, 7), slots=2, start=2)
    one.serve(3.0)
    one.resize(1, now=3.0)
    assert (one.ready, one.running) == (1, 1)
    assert sorted(replica.gone_at for replica in one.replicas) == [7.0, FOREVER]
    assert one.replica_seconds(20.0) == 20 + 7


def test_a_starting_replica_is_stopped_first() -> None:
    one = service((0, 1))
    one.resize(3, now=0.0)
    one.resize(2, now=4.0)
    one.resize(1, now=5.0)
    assert (one.ready, one.running, one.next_ready()) == (1, 1, FOREVER)
    assert one.replica_seconds(60.0) == 60 + 4 + 5


def test_the_fraction_of_long_waits_is_that_of_erlang_c() -> None:
    # 3 replicas of 4 slots, 50/s of exactly exponential service cannot be had from the lognormal, so
    # the requests are drawn here.
    random = np.random.default_rng(7)
    arrivals = np.cumsum(random.exponential(1 / 50, 200_000))
    services = random.exponential(0.2, 200_000)
    one = SimulatedService(4, 10.0, Workload(arrivals, services))
    one.start_ready(3)
    one.serve(FOREVER)
    waits = np.array(one.started) - arrivals
    for seconds in (0.0, 0.1, 0.2):
        expected = wait_exceeds(12, 10.0, seconds / 0.2)
        assert float((waits > seconds).mean()) == pytest.approx(expected, rel=0.1)


STEADY = Trace("even", 10.0, np.full(30, 20.0))


def test_a_run_is_reproducible() -> None:
    system = System(bounds=Bounds(1, 5), start=2)

    def decide(state: dict[str, int], signals: Signals, now: float) -> Decision:
        number = state.get("n", 2) % 5 + 1
        return Decision(number, "hold", "", {}, {"n": number})

    one, other = (simulate(decide, STEADY, system, seed=3) for _ in range(2))
    assert np.array_equal(one.responses, other.responses)
    assert one.replica_seconds == other.replica_seconds
    assert not np.array_equal(one.responses, simulate(decide, STEADY, system, seed=4).responses)


def test_a_given_workload_is_used() -> None:
    known = workload_from_plan(np.array([0.5, 1.0, 7.0]), np.array([0.2, 0.6, 0.2]), 0.0, seed=1)
    run = simulate(lambda *_: keep(1), STEADY, System(start=1), seed=1, workload=known)
    assert run.arrivals.tolist() == [0.5, 1.0, 7.0]
    assert run.responses.tolist() == pytest.approx([0.2, 0.6, 0.2])


def test_times_in_a_slot_have_the_given_mean_and_cv() -> None:
    means = np.full(20_000, 0.4)
    times = workload_from_plan(np.arange(20_000.0), means, 0.5, seed=1).services
    assert times.mean() == pytest.approx(0.4, rel=0.02)
    assert times.std() / times.mean() == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize(("phase", "age"), [(0.0, 1.0), (0.5, 0.5), (1.5, 1.5)])
def test_signals_are_as_old_as_the_scrape_before_the_tick(phase: float, age: float) -> None:
    system = System(start=2, scrape_seconds=2.0, scrape_phase_seconds=phase)
    run = simulate(lambda *_: keep(2), STEADY, system, seed=1)
    first, later = run.ticks[0].signals, run.ticks[20].signals
    assert first.age_seconds == pytest.approx(age)  # at 5 s
    assert first.arrival_rate == pytest.approx(20, rel=0.4)
    assert later.arrival_rate_60s == pytest.approx(20, rel=0.1)
    assert later.service_seconds == pytest.approx(0.2, rel=0.1)


def test_requests_that_wait_at_the_end_are_served() -> None:
    system = System(bounds=Bounds(1, 5), start=1)
    run = simulate(lambda *_: keep(1), replace(STEADY, rates=np.full(30, 60.0)), system, seed=1)
    assert len(run.responses) == len(run.arrivals) > 15_000
    assert float(run.responses.max()) > 100


def test_the_cost_includes_every_requested_replica() -> None:
    system = System(bounds=Bounds(1, 5), start=2, startup_seconds=30)
    run = simulate(lambda *_: keep(4), STEADY, system, seed=1)
    # Two all the time, two more from the first decision at 5 s on, ready or not.
    assert run.replica_seconds == pytest.approx(2 * 300 + 2 * 295)
    assert [tick.signals.ready for tick in run.ticks[5:8]] == [2, 4, 4]
    assert [tick.signals.running for tick in run.ticks[:2]] == [2, 4]


def test_a_slow_dependency_holds_slots_only_while_it_is_slow() -> None:
    slow = replace(STEADY, slownesses=(Slowness(100.0, 200.0, 3.0),))
    run = simulate(lambda *_: keep(30), slow, System(start=30), seed=1)
    during = (run.arrivals > 100) & (run.arrivals < 200)
    assert float(run.responses[during].mean()) == pytest.approx(0.6, rel=0.1)
    assert float(run.responses[~during].mean()) == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"slots": 0}, "slots must be from 1 to inf, got 0"),
        ({"start": 31}, "min ≤ start ≤ max"),
        ({"bounds": Bounds(-1, 30)}, "min must be from 0"),
        ({"kinds": ()}, "at least one kind"),
        ({"kinds": (RequestKind(1.0, 0.2), RequestKind(0.0, 0.2))}, "the share of a kind"),
        ({"kinds": (RequestKind(1.0, 1e300),)}, "the service time must be from 1e-06 to 86400"),
        ({"slo_seconds": 0.0}, "slo must be"),
        ({"slo_seconds": math.nan}, "slo must be"),
        ({"service_cv": -0.1}, "cv must be from 0 to 100"),
        ({"scrape_seconds": 0.0}, "scrape must be"),
        ({"scrape_phase_seconds": 2.0}, "within one interval"),
        ({"startup_seconds": math.inf}, "startup must be"),
    ],
)
def test_an_invalid_system_is_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(System(), **wrong)  # type: ignore[arg-type]
