"""SLOQ with bad, frozen, contradictory or partial signals."""

import math
from typing import Any

import pytest

from support.harnesses.sloq_loop import SloqLoop

BAD: dict[str, dict[str, Any]] = {
    "no arrival rate": {"arrival_rate": None},
    "a rate that is not a number": {"arrival_rate": math.nan},
    "a negative rate": {"arrival_rate": -1.0},
    "an infinite rate": {"arrival_rate": math.inf},
    "no slots": {"slots_per_replica": None},
    "zero slots": {"slots_per_replica": 0},
    "no age": {"age_seconds": None},
    "stale": {"age_seconds": 16.0},
    "no replicas": {"ready": 0, "running": 0},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_signals_keep_the_number_and_are_explained(name: str) -> None:
    loop = SloqLoop(desired=9, ready=9, running=9)
    loop.tick()
    held = loop.signals.desired
    decision = loop.tick(**BAD[name], problem="Prometheus cannot be reached")
    assert (decision.desired, decision.reason) == (held, "no-signal")
    assert decision.explanation.startswith(f"{held} held: ")
    assert decision.explanation.endswith("(Prometheus cannot be reached)")


IN_PART: dict[str, tuple[dict[str, Any], str]] = {
    "no requests in system": ({"in_system": None}, "the requests in the system are not known"),
    "requests in system that are no number": (
        {"in_system": math.nan},
        "the requests in the system are not known",
    ),
    "no rate over a minute": (
        {"arrival_rate_60s": None},
        "the arrival rate over a minute is not known",
    ),
    "a rate over a minute that is no number": (
        {"arrival_rate_60s": math.nan},
        "the arrival rate over a minute is not known",
    ),
    "a problem with what is not needed": ({"problem": "several series: queue"}, "several series"),
}


@pytest.mark.parametrize("name", IN_PART)
def test_partial_signals_can_add_replicas_but_not_remove_any(name: str) -> None:
    wrong, words = IN_PART[name]
    loop = SloqLoop(desired=10, ready=10, running=10)
    loop.ticks(30)
    held = loop.signals.desired
    kept = loop.ticks(120, **{"arrival_rate": 5.0, "arrival_rate_60s": 5.0, **wrong})
    assert {one.desired for one in kept} == {held}
    assert f"{words}" in kept[-1].explanation
    assert kept[-1].explanation.endswith("so no replica is removed")
    assert loop.tick(**{"arrival_rate": 300.0, **wrong}).desired > held
    assert loop.ticks(90)[-1].desired < held


def test_unchanged_traffic_without_a_time_in_a_slot_removes_no_replica() -> None:
    loop = SloqLoop(desired=10, ready=10, running=10)
    unknown = dict.fromkeys(("service_seconds", "service_seconds_p95", "latency_seconds"))
    seen = {**unknown, "arrival_rate": 20.0, "arrival_rate_60s": 20.0}
    frozen = loop.ticks(120, **seen)
    assert {one.desired for one in frozen} == {10}
    assert "the signals have not changed, so no replica is removed" in frozen[-1].explanation
    # It moves: 12 probes a minute of something that takes no slot, say.
    moving = [loop.tick(**{**seen, "arrival_rate": 20.0 - n % 2}) for n in range(120)]
    assert moving[-1].desired < 10


def test_a_service_without_any_request_yet_scales_to_its_minimum() -> None:
    loop = SloqLoop(desired=10, ready=10, running=10)
    nothing = dict.fromkeys(("arrival_rate", "arrival_rate_60s", "in_system", "busy"), 0.0)
    unknown = dict.fromkeys(("service_seconds", "service_seconds_p95", "latency_seconds"))
    assert loop.ticks(90, **nothing, **unknown)[-1].desired == 1


def test_after_a_minute_without_signals_it_covers_the_peak_of_the_last_hour() -> None:
    loop = SloqLoop(desired=7, ready=7, running=7)
    loop.ticks(10, arrival_rate=100.0, arrival_rate_60s=100.0)
    loop.ticks(200)
    low = loop.signals.desired
    blind = loop.ticks(30, arrival_rate=None)
    assert {decision.desired for decision in blind[:12]} == {low}
    assert blind[13].desired == 7 > low
    assert "and the peak of the last hour needs 7 replicas" in blind[12].explanation
    # And back: nothing shrinks at once.
    assert {decision.desired for decision in loop.ticks(30)} == {7}


def test_frozen_signals_keep_the_number_from_the_first_tick() -> None:
    loop = SloqLoop(desired=9, ready=9, running=9)
    loop.ticks(34)
    still = {"latency_seconds": 0.5001, "arrival_rate": 5.0, "arrival_rate_60s": 5.0}
    loop.tick(**still)
    held = loop.signals.desired
    frozen = loop.ticks(60, **still)
    assert {decision.desired for decision in frozen} == {held}
    assert "the signals have not changed, so no replica is removed" in frozen[0].explanation
    assert frozen[-1].reason == "no-signal"
    assert "they are frozen" in frozen[-1].explanation


def test_an_idle_service_is_not_frozen() -> None:
    loop = SloqLoop(desired=3, ready=3, running=3)
    idle = {
        "arrival_rate": 0.0, "arrival_rate_60s": 0.0, "in_system": 0.0, "busy": 0.0,
        "service_seconds": None, "service_seconds_p95": None, "latency_seconds": None,
    }  # fmt: skip
    assert [decision.desired for decision in loop.ticks(60, **idle)][-1] == 1
    assert "the minimum is 1" in loop.tick(**idle).explanation


def test_busy_slots_override_a_rate_that_fell_to_zero() -> None:
    decision = SloqLoop().tick(arrival_rate=0.0, arrival_rate_60s=0.0, in_system=0.0, busy=16.0)
    # 16 - 3·√16 = 4 slots are busy for certain.
    assert (decision.inputs["slots"], decision.inputs["stay_slots"]) == (0, 8)


def test_busy_slots_over_a_minute_override_a_rate_more_than_one_sample() -> None:
    loop = SloqLoop(desired=10, ready=10, running=10)
    low = {"arrival_rate": 5.0, "arrival_rate_60s": 5.0, "in_system": 12.0}
    for number in range(120):
        last = loop.tick(**low, busy=12.0 + 3 * (-1) ** number)
    # 12 - 3·√(12/25) = 9.9 slots are busy for certain, where one sample of 9 shows none.
    assert last.inputs["stay_slots"] >= 14
    assert last.desired == 4
