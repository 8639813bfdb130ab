"""SLOQ inside Ray's autoscaler, with the contexts that Ray calls it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.autoscaler.policy_expression import PolicyError
from tidegate.ray.counters import BUSY, LATENCY, OBJECTIVE_SLOT_SECONDS, SLOT_SECONDS, SLOTS
from tidegate.ray.inside_signals import InsideSignals
from tidegate.ray.policy import SloqPolicy

START = 1_795_671_800.0
SERVICE_SECONDS = 0.2


@dataclass
class Point:
    timestamp: float
    value: float


@dataclass
class FakeContext:
    """As `ray.serve.config.AutoscalingContext`."""

    target_num_replicas: int = 1
    running_replicas: Sequence[Any] = ("a",)
    raw_metrics: Mapping[str, Mapping[Any, Sequence[Point]]] | None = None
    total_queued_requests: float | None = 0.0
    current_time: float | None = START
    capacity_adjusted_min_replicas: int = 1
    capacity_adjusted_max_replicas: int = 8


@dataclass
class Service:
    """A deployment of replicas with 2 slots and 0.2 s of work for each request, and Ray around it."""

    policy: SloqPolicy = field(init=False)
    now: float = 0.0
    replicas: list[str] = field(default_factory=lambda: ["r0"])
    target: int = 1
    done: dict[str, float] = field(default_factory=dict)
    queue: float = 0.0
    silent: bool = False

    def __post_init__(self) -> None:
        self.policy = SloqPolicy(
            policy="sloq:down_seconds=30,coverage=0",
            latency_seconds=0.5,
            clock=lambda: self.now,
        )

    def metrics(self) -> dict[str, dict[str, list[Point]]]:
        found: dict[str, dict[str, list[Point]]] = {}
        for replica in self.replicas:
            count = self.done.get(replica, 0.0)
            counters = {
                SLOTS: 2.0,
                BUSY: self.busy,
                f"{SLOT_SECONDS}_sum": count * SERVICE_SECONDS,
                f"{SLOT_SECONDS}_count": count,
            }
            for name in (SLOT_SECONDS, OBJECTIVE_SLOT_SECONDS, LATENCY):
                counters |= {
                    f"{name}_le_0.15": 0.0,
                    f"{name}_le_0.25": count,
                    f"{name}_le_+Inf": count,
                }
            for name, value in counters.items():
                found.setdefault(name, {})[replica] = [Point(START + self.now, value)]
        return found

    busy: float = 0.0

    def run(self, seconds: int, rate: float) -> list[int]:
        """Each second; returns the targets."""
        targets = []
        for _ in range(seconds):
            self.now += 1.0
            able = len(self.replicas) * 2 / SERVICE_SECONDS
            served = min(able, rate + self.queue)
            self.queue += rate - served
            self.busy = min(2.0, served * SERVICE_SECONDS / len(self.replicas))
            for replica in self.replicas:
                self.done[replica] = self.done.get(replica, 0.0) + served / len(self.replicas)
            context = FakeContext(
                target_num_replicas=self.target,
                running_replicas=list(self.replicas),
                raw_metrics={} if self.silent else self.metrics(),
                total_queued_requests=self.queue,
                current_time=START + self.now,
            )
            self.target, state = self.policy(context)
            assert state == {}
            targets.append(self.target)
            self.replicas = [f"r{number}" for number in range(self.target)]
        return targets


def context(service: Service, *running: str) -> FakeContext:
    """What Ray knows of the service, of which these replicas run."""
    return FakeContext(
        running_replicas=running,
        raw_metrics=service.metrics(),
        total_queued_requests=service.queue,
        current_time=START + service.now,
    )


def test_it_follows_the_load_up_and_down() -> None:
    service = Service()
    assert service.run(60, 0.5)[-1] == 1
    assert service.run(60, 30.0)[-1] >= 4, "30 a second of 0.2 s are 6 slots at least"
    assert service.queue == 0
    assert service.run(240, 0.0)[-1] == 1


def test_it_decides_each_five_seconds_and_answers_the_same_in_between() -> None:
    service = Service()
    service.run(20, 2.0)
    targets = service.run(40, 40.0)
    changes = [second for second in range(1, 40) if targets[second] != targets[second - 1]]
    assert changes
    assert all((second - changes[0]) % 5 == 0 for second in changes)


def test_without_counters_the_number_is_held() -> None:
    service = Service()
    service.run(60, 30.0)
    held = service.target
    assert held > 1
    service.silent = True
    assert set(service.run(300, 0.0)) == {held}


def test_the_arrivals_are_what_was_begun_and_what_waits() -> None:
    service, signals = Service(), InsideSignals(0.95)
    for tick in range(5):
        service.now = 5.0 * tick
        service.done["r0"] = 50.0 * tick
        service.queue = 100.0 * tick
        found = signals.read(context(service, "r0"), service.now)
    assert found.arrival_rate == pytest.approx(30.0)
    assert found.completed_rate == pytest.approx(10.0)
    assert found.service_seconds == pytest.approx(SERVICE_SECONDS)
    assert (found.queued, found.in_system, found.slots_per_replica) == (400.0, 400.0, 2)
    assert found.age_seconds == 0
    assert found.problem == ""


def test_a_replica_without_counters_is_named_once_it_is_no_longer_new() -> None:
    service, signals = Service(), InsideSignals(0.95)
    problems = []
    for second in (0.0, 5.0, 15.0):
        service.now = second
        problems.append(signals.read(context(service, "r0", "r1"), second).problem)
    assert problems == ["", "", "no counters of r1"]


def test_the_age_is_that_of_the_oldest_counters() -> None:
    service, signals = Service(), InsideSignals(0.95)
    late = replace(context(service, "r0"), current_time=START + 12.0)
    assert signals.read(late, 0.0).age_seconds == 12.0


def test_an_error_holds_the_number(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeContext):
        @property
        def raw_metrics(self) -> Any:
            raise RuntimeError("no metrics today")

        @raw_metrics.setter
        def raw_metrics(self, value: Any) -> None:
            pass

    policy = SloqPolicy(clock=lambda: 0.0)
    with caplog.at_level("WARNING", logger="ray.serve"):
        assert policy(Broken(target_num_replicas=5)) == (5, {})
    assert "no metrics today" in caplog.text


def test_a_wrong_policy_is_refused_when_it_is_deployed() -> None:
    with pytest.raises(PolicyError, match="slok"):
        SloqPolicy(policy="slok")


COUNTERS = (SLOTS, BUSY, f"{SLOT_SECONDS}_sum", f"{SLOT_SECONDS}_count", f"{LATENCY}_le_0.1")
REPORTED = st.dictionaries(st.sampled_from(COUNTERS), st.floats())


@given(st.lists(st.tuples(REPORTED, st.none() | st.floats(), st.integers(0, 9)), max_size=12))
def test_whatever_ray_reports_the_number_stays_within_the_bounds(
    calls: list[tuple[dict[str, float], float | None, int]],
) -> None:
    clock = iter(range(0, 10_000, 5))
    policy = SloqPolicy(clock=lambda: float(next(clock)))
    for tick, (values, queued, running) in enumerate(calls):
        context = FakeContext(
            target_num_replicas=3,
            running_replicas=[f"r{number}" for number in range(running)],
            raw_metrics={name: {"r0": [Point(START, value)]} for name, value in values.items()},
            total_queued_requests=queued,
            current_time=START + 5.0 * tick,
        )
        number, _ = policy(context)
        assert 1 <= number <= 8
