"""Vertical scaling, simulated and live: changing slots, and the policy that lends them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from support.harnesses.sloq_loop import CALM
from tidegate.autoscaler.live.override import Override, apply_override
from tidegate.autoscaler.policy_builder import build_policy
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.types import Bounds
from tidegate.autoscaler.wrappers.schedule import scheduled
from tidegate.lab.simulator.comparison import TraceSpec, run_one
from tidegate.lab.simulator.replicas import SimulatedService
from tidegate.lab.simulator.score import Score, score
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.workload import Workload

CONTEXT = PolicyContext(Bounds(1, 20), slo_seconds=0.6)
# 50/s for 0.2 s are 10 slots of work, on 3 replicas of 4.
THREE: dict[str, Any] = {"in_system": 12.0, "busy": 12.0, "ready": 3, "running": 3, "desired": 3}
SEEN = replace(CALM, **THREE, completed_rate=None)


def service(count: int, seconds: float, slots: int = 1) -> SimulatedService:
    made = SimulatedService(slots, 10.0, Workload(np.zeros(count), np.full(count, seconds)))
    made.start_ready(1)
    return made


def judge(words: str) -> Score:
    return score(run_one(words, TraceSpec("spike"), System(), 0), System().slo_seconds)


def test_more_slots_take_over_the_queue_at_once() -> None:
    one = service(4, 5.0)
    one.serve(2.0)
    one.set_slots(3, 2.0)
    one.serve(math.inf)
    assert one.started == [0.0, 2.0, 2.0, 5.0]
    assert one.ready == 1


def test_removed_slots_finish_their_requests() -> None:
    one = service(4, 5.0, 2)
    one.serve(1.0)
    one.set_slots(1, 1.0)
    one.serve(math.inf)
    # Both are worked on until 5 s, then one at a time.
    assert one.started == [0.0, 0.0, 5.0, 10.0]


def test_the_cost_of_a_replica_is_proportional_to_its_slots() -> None:
    one = service(1, 1.0, 4)
    one.set_slots(4, 5.0)
    assert one.replica_seconds(30.0) == 30.0
    one.set_slots(8, 10.0)
    one.set_slots(4, 20.0)
    assert one.replica_seconds(30.0) == 10.0 + 2 * 10.0 + 10.0


def test_slots_are_lent_until_the_requested_replicas_are_ready() -> None:
    decide = build_policy("surge", CONTEXT).policy
    first = decide({}, SEEN, 5.0)
    assert first.desired > 3
    assert first.slots == math.ceil(4 * first.desired / 3)
    assert first.explanation.endswith(
        f"; {first.slots} slots per replica until the new ones are ready"
    )
    # Lent slots are not learned as the replica's own, and are given back.
    more: dict[str, Any] = dict.fromkeys(("desired", "running"), first.desired)
    more["slots_per_replica"] = first.slots
    second = decide(first.state, replace(SEEN, **more, latency_seconds=0.51), 10.0)
    assert (second.desired, second.slots) == (first.desired, first.slots)
    there = {**more, "ready": first.desired}
    third = decide(second.state, replace(SEEN, **there, latency_seconds=0.52), 15.0)
    assert (third.desired, third.slots) == (first.desired, 4)


def test_busy_lent_slots_do_not_change_the_learned_slots() -> None:
    decide = build_policy("surge", CONTEXT).policy
    lent: dict[str, Any] = {"slots_per_replica": 8, "slots_asked": 8, "busiest": 8.0, "busy": 24.0}
    state: dict[str, Any] = {}
    for number in range(80):
        # Twenty ticks of its own, twenty lent; for a minute after that the busiest still had eight.
        own = number < 20 or number >= 40
        seen = replace(SEEN, latency_seconds=0.5 + number / 1000, slots_asked=4, busiest=3.0)
        if number < 52 and number >= 40:
            seen = replace(seen, busiest=8.0)
        decision = decide(state, seen if own else replace(seen, **lent), 5.0 * number)
        assert decision.inputs["slots_per_replica"] == 4
        state = decision.state


def test_slots_are_lent_up_to_the_maximum() -> None:
    decide = build_policy("surge:most_factor=1.5", CONTEXT).policy
    assert decide({}, replace(SEEN, arrival_rate=200.0, arrival_rate_60s=200.0), 5.0).slots == 6
    assert decide({}, replace(SEEN, ready=0), 5.0).slots == 4


def test_lent_slots_bridge_a_surge_at_no_higher_cost() -> None:
    bridged, plain = judge("surge"), judge("sloq")
    assert bridged.violation_seconds < 0.5 * plain.violation_seconds
    assert bridged.replica_seconds < 1.05 * plain.replica_seconds


# Live, the settings say what a replica has by itself and may have, and the resizer what was asked for.
LIVE = replace(CONTEXT, slots=4, most_slots=6)
ASKED = replace(SEEN, slots_asked=4)


def test_it_runs_live_within_the_limits_of_the_settings() -> None:
    decide = build_policy("surge:most_factor=8", LIVE).policy
    busy = replace(ASKED, arrival_rate=200.0, arrival_rate_60s=200.0)
    assert decide({}, busy, 5.0).slots == 6


def test_a_restarted_autoscaler_distinguishes_lent_slots_from_base_slots() -> None:
    decide = build_policy("surge", LIVE).policy
    lent = replace(ASKED, slots_per_replica=6, slots_asked=6, ready=4, running=4, desired=4)
    first = decide({}, lent, 5.0)
    assert (first.desired, first.slots) == (4, 4)
    assert first.explanation.endswith("; 4 slots per replica again")
    assert first.inputs["parameters"]["base_slots"] == 4


def test_slots_are_not_lent_for_replicas_that_a_bound_forbids() -> None:
    decide = scheduled(build_policy("surge", LIVE).policy, [], Bounds(1, 3))
    first = decide({}, ASKED, 5.0)
    assert (first.desired, first.slots) == (3, 6)  # no signal yet that they are forbidden
    assert "from 1 to 3; else 4" in first.explanation
    there = replace(ASKED, slots_asked=6, slots_per_replica=6, latency_seconds=0.51)
    second = decide(first.state, there, 10.0)
    assert (second.desired, second.slots) == (3, 4)


def test_a_pause_keeps_the_slots() -> None:
    surge = build_policy("surge", LIVE).policy
    held = apply_override(surge, Override(until=1e9), Bounds(1, 20))({}, ASKED, 5.0)
    assert (held.desired, held.slots) == (3, None)
    assert "slots per replica until the new ones are ready" in held.explanation
    bound = apply_override(surge, Override(until=1e9, max=4), Bounds(1, 20))({}, ASKED, 5.0)
    assert (bound.desired, bound.slots) == (4, surge({}, ASKED, 5.0).slots)
