"""SLOQ with bad, frozen, contradictory or partial signals."""

import math
from dataclasses import replace
from typing import Any

import pytest

from support.harnesses.sloq_loop import PARAMETERS, SloqLoop
from support.samples.signals import IN_PART_BAD_SIGNALS

UNKNOWN = dict.fromkeys(("service_seconds", "service_seconds_p95", "latency_seconds"))
NOTHING = dict.fromkeys(("arrival_rate", "arrival_rate_60s", "in_system", "busy"), 0.0)


@pytest.mark.parametrize(("wrong", "words"), IN_PART_BAD_SIGNALS.values(), ids=IN_PART_BAD_SIGNALS)
def test_partial_signals_can_add_replicas_but_not_remove_any(
    wrong: dict[str, Any], words: str
) -> None:
    loop = SloqLoop(desired=10, ready=10, running=10)
    loop.ticks(30)
    held = loop.signals.desired
    kept = loop.ticks(120, **{"arrival_rate": 5.0, "arrival_rate_60s": 5.0, **wrong})
    assert {one.desired for one in kept} == {held}
    assert words in kept[-1].explanation
    assert kept[-1].explanation.endswith("so no replica is removed")
    assert loop.tick(**{"arrival_rate": 300.0, **wrong}).desired > held
    assert loop.ticks(90, arrival_rate=5.0, arrival_rate_60s=5.0)[-1].desired < held


def test_unchanged_traffic_without_a_time_in_a_slot_removes_no_replica() -> None:
    loop = SloqLoop(desired=10, ready=10, running=10)
    seen = {**UNKNOWN, "arrival_rate": 20.0, "arrival_rate_60s": 20.0}
    frozen = loop.ticks(120, **seen)
    assert {one.desired for one in frozen} == {10}
    assert "the signals have not changed, so no replica is removed" in frozen[-1].explanation
    # It moves: 12 probes a minute of something that takes no slot, say.
    moving = [loop.tick(**{**seen, "arrival_rate": 20.0 - n % 2}) for n in range(120)]
    assert moving[-1].desired < 10


def test_a_service_without_any_request_yet_scales_to_its_minimum() -> None:
    loop = SloqLoop(desired=10, ready=10, running=10)
    assert loop.ticks(90, **NOTHING, **UNKNOWN)[-1].desired == 1
    assert "the minimum is 1" in loop.tick(**NOTHING, **UNKNOWN).explanation


def test_after_a_minute_without_signals_it_covers_the_recent_peak() -> None:
    loop = SloqLoop(desired=7, ready=7, running=7)
    loop.ticks(10, arrival_rate=110.0, arrival_rate_60s=110.0, in_system=22.0, busy=22.0)
    loop.ticks(60)
    low = loop.signals.desired
    blind = loop.ticks(30, arrival_rate=None)
    assert {decision.desired for decision in blind[:11]} == {low}
    assert blind[13].desired == 7 > low
    assert "and the recent peak needs 7 replicas" in blind[11].explanation
    # And back: nothing shrinks at once.
    assert {decision.desired for decision in loop.ticks(20)} == {7}


def test_an_outage_does_not_make_the_state_longer() -> None:
    loop = SloqLoop()
    loop.ticks(5)
    loop.ticks(1, arrival_rate=None)
    size = len(str(loop.state))
    loop.ticks(20, arrival_rate=None)
    assert len(str(loop.state)) <= size + 50


def test_while_replicas_are_unknown_the_number_is_held_however_long_and_after_it() -> None:
    loop = SloqLoop(desired=7, ready=7, running=7)
    loop.ticks(10, arrival_rate=110.0, arrival_rate_60s=110.0, in_system=22.0, busy=22.0)
    loop.ticks(60)
    low = loop.signals.desired
    assert low < 7
    unknown = loop.ticks(60, ready=0, running=0, problem="the API server does not answer")
    assert {decision.desired for decision in unknown} == {low}
    # The signals were there all the time: the time without them begins now.
    blind = loop.ticks(10, arrival_rate=None)
    assert {decision.desired for decision in blind} == {low}


def test_frozen_signals_keep_the_number_from_the_first_tick() -> None:
    loop = SloqLoop(desired=9, ready=9, running=9)
    loop.ticks(34)
    still = {"latency_seconds": 0.5001, "arrival_rate": 5.0, "arrival_rate_60s": 5.0}
    loop.tick(**still)
    held = loop.signals.desired
    frozen = loop.ticks(60, **still)
    assert {decision.desired for decision in frozen} == {held}
    assert "the signals have not changed, so no replica is removed" in frozen[0].explanation
    assert [one.reason == "no-signal" for one in frozen[:5]] == [False] * 3 + [True] * 2
    assert "they are frozen" in frozen[-1].explanation


# Each tick alone may remove replicas.
AT_ONCE = replace(PARAMETERS, down_seconds=1.0)


def stopped(seconds: float) -> dict[str, Any]:
    """The signals so long after the counters have stopped, of 50 requests/s."""
    rates = {f"arrival_rate{of}": 50 * max(0.0, 1 - seconds / window) for of, window in WINDOWS}
    if seconds < 60:
        return rates
    return {**rates, **UNKNOWN}


WINDOWS = (("", 15.0), ("_60s", 60.0))


def steady() -> SloqLoop:
    """After 50 s of 50 requests/s, of which 10 are in the system, with one slot per replica."""
    loop = SloqLoop(AT_ONCE, slots_per_replica=1, desired=15, ready=15, running=15)
    for number in range(10):
        loop.tick(in_system=9.0 + number % 2)
    return loop


def test_after_counters_had_stopped_replicas_stay_until_the_rates_are_right_again() -> None:
    loop = steady()
    held = loop.signals.desired
    for after in range(5, 121, 5):
        loop.tick(**stopped(after))
    # The counters restart from 0.
    again = [
        loop.tick(
            arrival_rate=50 * min(1.0, after / 15),
            arrival_rate_60s=50 * after / 60,
            in_system=8.0 + after % 2,
        )
        for after in range(0, 16, 5)
    ]
    assert min(one.desired for one in again) == held
    assert "the rates are not good for 15 s yet" in again[0].explanation


def test_after_a_gap_replicas_stay_until_the_rates_are_right_again() -> None:
    loop = steady()
    held = loop.signals.desired
    loop.ticks(6, arrival_rate=math.nan, in_system=math.nan)
    # Over a window without samples at its begin, a rate is too low.
    again = [
        loop.tick(arrival_rate=rate, arrival_rate_60s=rate / 4, in_system=9.0 + rate % 2)
        for rate in (15.0, 32.0, 49.0)
    ]
    assert min(one.desired for one in again) == held
    assert "the rates are not good for 15 s yet" in again[0].explanation
    low = [loop.tick(arrival_rate=5.0, arrival_rate_60s=5.0, in_system=n % 2) for n in range(24)]
    assert low[-1].desired < held


def test_the_same_long_requests_do_not_hold_replicas_forever() -> None:
    loop = SloqLoop(AT_ONCE, desired=10, ready=10, running=10)
    decisions = loop.ticks(40, arrival_rate=5.0, arrival_rate_60s=5.0, in_system=3.0, busy=3.0)
    assert {one.desired for one in decisions[1:19]} == {decisions[0].desired}
    assert decisions[-1].desired < decisions[0].desired


@pytest.mark.parametrize(
    ("completed", "least"),
    [
        # 16 - 3·√16 = 4 slots are busy for certain.
        (None, 4.0),
        # 750 - 3·√750 requests in 15 s, of 0.2 s each.
        (50.0, 8.9),
    ],
)
def test_what_is_served_overrides_a_rate_that_fell_to_zero(
    completed: float | None, least: float
) -> None:
    found = SloqLoop().tick(**{**NOTHING, "busy": 16.0}, completed_rate=completed).inputs
    assert found["slots"] == 0
    assert found["stay_slots"] > least


def test_what_works_off_a_queue_is_no_load_that_replicas_stay_for() -> None:
    loop = SloqLoop(desired=10, ready=10, running=10)
    nothing = {"arrival_rate": 0.0, "arrival_rate_60s": 0.0, "completed_rate": 200.0}
    loop.ticks(3, **nothing, queued=3000.0, in_system=3040.0)
    assert loop.tick(**nothing, queued=2000.0, in_system=2040.0).inputs["stay_slots"] == 0
