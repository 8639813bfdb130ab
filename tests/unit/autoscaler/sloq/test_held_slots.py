"""A queue from which nothing leaves: its slots are held by requests that hang, and give no capacity."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from support.harnesses.sloq_loop import PARAMETERS, SloqLoop
from tidegate.autoscaler.sloq.state import SloqState

# 150 requests behind two handlers that never return, as they were measured: nobody sends more.
HELD: dict[str, Any] = {
    "arrival_rate": 0.0,
    "arrival_rate_60s": 0.363,
    "completed_rate": 0.0,
    "service_seconds_15s": None,
    "queued": 62.0,
    "in_system": 64.0,
    "busy": 2.0,
}
ONE = {"slots_per_replica": 2, "ready": 1, "running": 1, "desired": 1, "arrival_rate": 0.4}


def calm(**changed: Any) -> SloqLoop:
    """One replica of two slots with a little traffic of 8 ms."""
    fast = {"service_seconds": 0.0081, "service_seconds_p95": 0.02, "busy": 0.0, "in_system": 0.0}
    loop = SloqLoop(**{**ONE, **fast, "arrival_rate_60s": 0.4, "completed_rate": 0.4, **changed})
    loop.ticks(9)
    return loop


def test_a_queue_from_which_nothing_leaves_adds_a_replica_whatever_the_rate() -> None:
    loop = calm()
    seen = loop.ticks(4, **HELD)
    assert [one.desired for one in seen] == [1, 1, 1, 2]
    assert (
        "others queue and none leaves, so requests that do not end hold 2 slots, not counted below"
        in seen[-1].explanation
    )
    assert seen[-1].inputs["held"] == 2


def test_more_are_added_only_when_those_are_held_too() -> None:
    loop = calm()
    loop.ticks(4, **HELD)
    # The second one starts.
    assert [one.desired for one in loop.ticks(5, **HELD, ready=1, running=2)] == [2] * 5
    # It is ready, and holds on to its requests in turn.
    assert [one.desired for one in loop.ticks(4, **HELD)] == [2, 2, 2, 3]


def test_replicas_that_hang_one_after_the_other_are_added_to() -> None:
    # One request of the first replica still completes, and nothing once those of the second hang, too.
    loop = calm(service_seconds=1.0, service_seconds_p95=1.1)
    one = {**HELD, "completed_rate": 1.0, "service_seconds_15s": 1.0}
    assert loop.ticks(6, **one, ready=1, running=1)[-1].inputs["occupancy"] == 1
    loop.ticks(9, **one, ready=2, running=2)
    seen = loop.ticks(4, **HELD, ready=2, running=2)
    assert (seen[-1].desired, seen[-1].inputs["machine_full"]) == (3, False)


def test_a_queue_of_longer_requests_needs_more_of_them() -> None:
    loop = calm(service_seconds=0.5, service_seconds_p95=0.55)
    seen = loop.ticks(4, **HELD, ready=1, running=1)
    # The 62 requests need 6 replicas at once; later the one that is held, and what it will not answer.
    assert [one.desired for one in seen] == [6, 6, 6, 9]
    assert "44 requests will queue" in seen[-2].explanation
    assert "64 requests will queue" in seen[-1].explanation


def test_requests_that_are_known_to_take_longer_are_not_held() -> None:
    parameters = replace(PARAMETERS, slo_seconds=30.0, max=1)
    loop = SloqLoop(parameters, **{**ONE, "service_seconds": 20.0, "service_seconds_p95": 28.0})
    loop.ticks(9, arrival_rate=0.05, arrival_rate_60s=0.05)
    held = {**HELD, "service_seconds": 20.0, "queued": 1.0, "in_system": 3.0}
    # Two slots in 50 s: five requests were to be expected.
    explained = [one.explanation for one in loop.ticks(11, **held)]
    assert ["do not end hold" in one for one in explained] == [False] * 10 + [True]


def test_times_that_stand_still_with_the_queue_are_not_frozen_signals() -> None:
    loop = calm()
    seen = loop.ticks(8, **HELD, service_seconds=0.0081, latency_seconds=0.011)
    assert "no-signal" not in {one.reason for one in seen}
    assert seen[-1].desired >= 2


def test_a_recorded_state_from_before_decides_as_it_did() -> None:
    loop = calm()
    loop.ticks(3, **HELD)
    state = {name: value for name, value in loop.state.items() if name != "stuck_since"}
    assert SloqState.from_json(state).stuck_since is None
    decision = loop.decide(state, replace(loop.signals, **HELD), loop.now + 5.0)
    assert (decision.desired, decision.inputs["held"]) == (1, 0)
