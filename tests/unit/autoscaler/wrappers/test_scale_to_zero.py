"""Scale to zero and back: when the last replica is removed, and what starts one again."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.components import examples
from support.samples.signals import ANY_SIGNALS, IDLE, MEASURED, VALID_SIGNALS
from tidegate.autoscaler.policy_builder import build_policy
from tidegate.autoscaler.policy_registry import POLICIES, PolicyContext
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals
from tidegate.autoscaler.wrappers.scale_to_zero import ScaleToZeroParameters, scale_to_zero

MAX_VALUE = 12
LOST: dict[str, Any] = dict.fromkeys(MEASURED)
TOLD = ScaleToZeroParameters(max=MAX_VALUE, idle_seconds=60.0, stale_seconds=15.0)
BUSY = replace(
    IDLE,
    arrival_rate=8.0,
    arrival_rate_60s=8.0,
    service_seconds=0.1,
    service_seconds_p95=0.15,
    in_system=1.0,
    busy=1.0,
)
# What Prometheus and the gateway say when there is no replica.
NONE = replace(
    IDLE, in_system=None, slots_per_replica=None, ready=0, running=0, desired=0, busy=None,
    age_seconds=None, waiting=0.0,
)  # fmt: skip


def scaling_to_zero(words: str = "sloq", recorded: ScaleToZeroParameters = TOLD) -> Policy:
    built = build_policy(words, PolicyContext(Bounds(1, recorded.max), slo_seconds=0.6))
    return scale_to_zero(built.policy, built.parameters, recorded)


@dataclass
class Run:
    """A policy that gets signals every five seconds, with its previous number."""

    policy: Policy = field(default_factory=scaling_to_zero)
    state: dict[str, Any] = field(default_factory=dict)
    now: float = 0.0

    def tick(self, seen: Signals, seconds: float = 5.0) -> Decision:
        self.now += seconds
        decision = self.policy(self.state, seen, self.now)
        self.state = json.loads(json.dumps(decision.state))
        return decision

    def idle(self, seconds: float, seen: Signals = IDLE) -> Decision:
        decision = self.tick(seen)
        for _ in range(int(seconds / 5)):
            decision = self.tick(seen)
        return decision

    def asleep(self) -> Run:
        for _ in range(4):
            self.tick(BUSY)
        assert self.idle(60).desired == 0
        return self


def test_the_last_replica_is_removed_after_the_idle_time_and_not_before() -> None:
    run = Run()
    run.tick(BUSY)
    assert run.idle(55).desired == 1
    assert run.tick(IDLE, seconds=0.0).desired == 1  # asked twice at once
    decision = run.tick(IDLE)
    assert (decision.desired, decision.reason) == (0, "down")
    assert decision.explanation == "1 → 0: no request for 60 s"


@pytest.mark.parametrize(
    "change",
    [
        {"arrival_rate": 0.07},
        {"in_system": 1.0},
        {"queued": 1.0},
        {"age_seconds": 16.0},
        {"age_seconds": None},
        {"arrival_rate": None},
        {"arrival_rate": math.nan},
        {"slots_per_replica": None},
        {"arrival_rate_60s": None},
        {"arrival_rate_60s": math.nan},
        {"problem": "several series: service:queue:now"},
        {"ready": 0},
    ],
    ids=str,
)
def test_one_request_or_one_tick_without_signals_restarts_the_idle_time(
    change: dict[str, Any],
) -> None:
    run = Run()
    assert run.idle(50).desired == 1
    assert run.tick(replace(IDLE, **change)).desired == 1
    assert run.idle(55).desired == 1
    assert run.tick(IDLE).desired == 0


def test_possibly_frozen_signals_remove_no_replica_but_count_as_idle_time() -> None:
    run = Run()
    run.tick(BUSY)
    # Means over a minute stand still until the minute is over.
    still = replace(IDLE, service_seconds=0.1, service_seconds_p95=0.15)
    assert run.idle(300, still).desired == 1
    assert run.tick(IDLE).explanation == "1 → 0: no request for 60 s"


def test_a_burst_reserve_keeps_no_replica_of_an_idle_service() -> None:
    run = Run()
    run.tick(replace(BUSY, arrival_rate=60.0, arrival_rate_60s=60.0, desired=3))
    assert run.idle(60, replace(IDLE, desired=3, ready=3, running=3)).desired == 0


def test_at_zero_it_stays_while_no_request_waits_even_without_prometheus() -> None:
    run = Run().asleep()
    lost = replace(NONE, **LOST, problem="Prometheus is away")
    for seen in [NONE] * 20 + [lost] * 20:
        decision = run.tick(seen)
        assert (decision.desired, decision.reason) == (0, "hold")
        assert decision.explanation == "0 held: no request waits at the gateway"


UNASKED = replace(NONE, waiting=None)


@pytest.mark.parametrize(
    ("seen", "desired", "reason", "explanation"),
    [
        (replace(NONE, waiting=1.0), 1, "up", "0 → 1: 1 request waits at the gateway"),
        # Its restart and clients that gave up are in its rate.
        (replace(NONE, arrival_rate=0.3, gateway_age_seconds=1.0), 0, "hold", "0 held: no request"),
        # The queue in Prometheus is used if the gateway was not read, and is unknown when it is stale.
        (UNASKED, 0, "hold", "0 held: no request waits at the gateway"),
        (replace(UNASKED, queued=3.0), 1, "up", "0 → 1: 3 requests wait at the gateway"),
        (
            replace(UNASKED, queued=0.0, gateway_age_seconds=16.0),
            *(0, "no-signal", "0 held: it is not known whether requests wait"),
        ),
    ],
)
def test_at_zero_a_request_that_waits_starts_a_replica(
    seen: Signals, desired: int, reason: str, explanation: str
) -> None:
    decision = Run().asleep().tick(seen, seconds=1.0)
    assert (decision.desired, decision.reason) == (desired, reason)
    assert decision.explanation.startswith(explanation)


def test_a_burst_is_sized_with_the_learned_values() -> None:
    run = Run().asleep()
    burst = replace(NONE, waiting=60.0, queued=60.0, arrival_rate=60.0, arrival_rate_60s=60.0)
    decision = run.tick(burst)
    # 60 requests/s of 0.1 s are six slots of work, and a replica has two.
    assert 3 < decision.desired <= MAX_VALUE
    assert decision.explanation.startswith(
        f"0 → {decision.desired}: 60 requests wait at the gateway (0 → {decision.desired}: "
    )
    # While replicas start, none is removed, although it takes longer than the window of SLOQ.
    starting = replace(NONE, desired=decision.desired, running=decision.desired)
    for _ in range(40):
        assert run.tick(starting).desired == decision.desired


def test_without_learned_slots_one_replica_is_started_and_no_problem_reported() -> None:
    run = Run()
    assert run.tick(replace(NONE, waiting=100.0)).desired == 1
    decision = run.tick(replace(NONE, desired=1, running=1))
    assert (decision.desired, decision.reason) == (1, "hold")


@pytest.mark.parametrize(
    "lost",
    [
        *(
            replace(NONE, **dict.fromkeys(MEASURED, bad), waiting=bad, gateway_age_seconds=1.0)
            for bad in (None, math.nan, -1.0)
        ),
        # A replica that KEDA has not removed yet is kept while its traffic stays unknown.
        *(
            replace(IDLE, desired=0, waiting=0.0, **bad)
            for bad in (
                {"arrival_rate": None},
                {"arrival_rate": math.nan},
                {"gateway_age_seconds": 16.0},
            )
        ),
    ],
    ids=lambda seen: f"{seen.waiting} {seen.arrival_rate} {seen.gateway_age_seconds}",
)
def test_what_stays_unknown_starts_a_replica_after_a_while(lost: Signals) -> None:
    run = Run().asleep()
    assert [run.tick(lost).desired for _ in range(4)] == [0, 0, 0, 1]


def test_a_known_queue_restarts_that_time() -> None:
    run = Run().asleep()
    lost = replace(NONE, waiting=None, queued=None)
    assert [run.tick(seen).desired for seen in [lost, lost, NONE, lost, lost, lost]] == [0] * 6


def test_traffic_that_the_last_replica_still_serves_keeps_it() -> None:
    # KEDA leaves the last pod for its cooldown period, and without a queue only the arrivals show requests.
    run = Run().asleep()
    served = replace(BUSY, desired=0, waiting=0.0)
    decision = run.tick(served, seconds=1.0)
    assert decision.desired >= 1
    assert decision.reason == "up"
    assert decision.explanation.startswith(f"0 → {decision.desired}: 8 requests/s arrive")
    assert run.tick(replace(served, desired=decision.desired)).desired >= 1


def test_learned_values_survive_zero_replicas() -> None:
    run = Run().asleep()
    before = run.state["inner"]
    for _ in range(100):
        run.tick(NONE)
    assert run.state["inner"] == before
    assert "blind_since" not in run.state  # what is not known is not recorded
    assert before["service_seconds"] == 0.1


def test_a_clock_that_is_set_back_restarts_the_idle_time() -> None:
    run = Run()
    assert run.idle(50).desired == 1
    run.now = 0.0
    assert run.idle(55).desired == 1
    assert run.tick(IDLE).desired == 0


# Each history is tried on all: to draw it costs more than their decisions.
KINDS = (*POLICIES, "max(sloq,hpa:inflight=0.7)", "min(sloq,kpa)")


@given(
    history=st.lists(ANY_SIGNALS | VALID_SIGNALS, max_size=8),
    waiting=st.floats(min_value=1, max_value=1e6),
)
@settings(max_examples=examples(60))
def test_around_any_policy_a_waiting_request_starts_a_replica(
    history: list[Signals], waiting: float
) -> None:
    for name in KINDS:
        run = Run(scaling_to_zero(name))
        for earlier in history:
            run.tick(earlier)
        assert run.tick(replace(NONE, waiting=waiting)).desired >= 1, name
