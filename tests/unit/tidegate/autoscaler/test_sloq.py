"""SLOQ: what it decides, tick by tick, and in words."""

import math
from dataclasses import asdict, replace
from typing import Any

import pytest

from tidegate.autoscaler.configured import configured
from tidegate.autoscaler.policies import policy_from_parameters
from tidegate.autoscaler.queueing import wait_exceeds
from tidegate.autoscaler.sloq import sloq
from tidegate.autoscaler.sloq_parameters import SloqParameters
from tidegate.autoscaler.types import Decision, Signals
from tidegate.settings import Settings

PARAMETERS = SloqParameters(min=1, max=20, slo_seconds=0.6)
# 50/s for 0.2 s are 10 slots of work; a wait of 0.6 - 0.46 = 0.14 s is left.
CALM = Signals(
    arrival_rate=50.0,
    service_seconds=0.2,
    in_system=10.0,
    slots_per_replica=4,
    ready=4,
    running=4,
    desired=4,
    latency_seconds=0.5,
    age_seconds=1.0,
    arrival_rate_60s=50.0,
    service_seconds_p95=0.46,
    busy=10.0,
    queued=0.0,
)


class Loop:
    """Ticks of 5 s, whatever is decided is there at the next one unless told otherwise."""

    def __init__(self, parameters: SloqParameters = PARAMETERS, **calm: Any) -> None:
        self.decide = sloq(parameters)
        self.now = 100.0
        self.state: dict[str, Any] = {}
        self.signals = replace(CALM, **calm)
        self._wobble = 0

    def tick(self, **changed: Any) -> Decision:
        self.now += 5.0
        self._wobble += 1
        # Real means move with every request; values that stand still would be frozen.
        moving = {"latency_seconds": 0.5 + 0.001 * (self._wobble % 7)}
        seen = replace(self.signals, **{**moving, **changed})
        decision = self.decide(self.state, seen, self.now)
        self.state = decision.state
        number = decision.desired
        self.signals = replace(self.signals, ready=number, running=number, desired=number)
        return decision

    def ticks(self, count: int, **changed: Any) -> list[Decision]:
        return [self.tick(**changed) for _ in range(count)]


def test_the_size_is_the_fewest_replicas_that_keep_the_wait() -> None:
    decision = Loop().tick()
    needed = decision.inputs["slots"]
    patience, late = 0.14 / 0.2, 0.1 * 0.05
    assert wait_exceeds(needed, 10.0, patience) <= late < wait_exceeds(needed - 1, 10.0, patience)
    assert decision.desired == math.ceil(needed / 4) == 4


def test_a_decision_says_why_in_a_sentence() -> None:
    decision = Loop(desired=2, ready=2, running=2).tick()
    assert (decision.desired, decision.reason) == (4, "up")
    assert decision.explanation == (
        "2 → 4: 50 requests/s × 0.2 s = 10.0 slots of work;"  # noqa: RUF001
        " 4 replicas keep P(wait > 0.14 s) ≤ 0.5 %"
    )


def test_what_is_starting_counts_so_that_nothing_cascades() -> None:
    loop = Loop(desired=2, ready=2, running=2)
    assert loop.tick().desired == 4
    for _ in range(5):
        assert loop.tick(ready=2, running=4).desired == 4


def test_up_is_at_once_and_down_takes_three_minutes_and_small_steps() -> None:
    loop = Loop()
    loop.ticks(3)
    assert loop.tick(arrival_rate=200.0, arrival_rate_60s=200.0).desired >= 12
    loop.ticks(40, arrival_rate=200.0, arrival_rate_60s=200.0)
    top = loop.signals.desired
    falling = loop.ticks(120)
    assert {decision.desired for decision in falling[:35]} == {top}
    assert falling[0].reason == "stabilized"
    assert "is the largest target of 180 s" in falling[0].explanation
    numbers = [decision.desired for decision in falling[35:]]
    for before, after in zip([top, *numbers], [*numbers, 4], strict=True):
        assert before - after <= max(1, before // 4)
    assert numbers[-1] == 4


def test_a_rise_is_followed_to_when_a_new_replica_is_ready() -> None:
    rising = Loop().tick(arrival_rate=80.0, arrival_rate_60s=50.0)
    # 30/s more over 22.5 s, followed for 35 + 7.5 s: 137/s.
    assert rising.inputs["rate_ahead"] == pytest.approx(80 + 30 / 22.5 * 42.5)
    assert "80 requests/s are rising, looked 35 s ahead" in rising.explanation


def test_noise_is_no_rise_and_a_rise_is_followed_to_no_more_than_twice() -> None:
    noise = Loop().tick(arrival_rate=53.0, arrival_rate_60s=50.0)
    assert noise.inputs["rate_ahead"] == 53.0
    jump = Loop().tick(arrival_rate=100.0, arrival_rate_60s=30.0)
    assert jump.inputs["rate_ahead"] == 200.0


def test_a_backlog_is_worked_off() -> None:
    decision = Loop().tick(in_system=300.0, busy=16.0, queued=284.0)
    # 300 - 1.5·10 - 2·√300 = 250 requests of 0.2 s in 10 s are 5 slots.
    assert decision.inputs["backlog"] == pytest.approx(5.0, abs=0.01)
    assert decision.desired == 5
    assert "the backlog adds 5.0 for 10 s" in decision.explanation


def test_latency_over_the_objective_adds_a_margin_that_fades() -> None:
    loop = Loop()
    loop.ticks(20)
    assert loop.tick().inputs["margin"] == 0
    worst = [loop.tick(latency_seconds=0.9 + number / 1000) for number in range(60)][-1]
    # Each 30 s, but for the minutes in which new replicas settle.
    assert 0.1 <= worst.inputs["margin"] <= 0.5
    assert "is added, as latency was over the objective" in worst.explanation
    loop.ticks(200)
    assert loop.tick().inputs["margin"] == 0


def test_latency_counts_only_once_all_replicas_are_ready() -> None:
    loop = Loop()
    for number in range(40):
        loop.tick(latency_seconds=0.9 + number / 1000, ready=2, running=4)
    assert loop.tick().inputs["margin"] == 0


def test_what_replicas_cannot_help_adds_hardly_any() -> None:
    loop = Loop()
    loop.ticks(60)
    broken = loop.ticks(60, service_seconds=2.0, service_seconds_p95=4.0, in_system=400.0)
    assert not broken[0].inputs["meetable"]
    assert "the objective cannot be met by adding replicas" in broken[0].explanation
    usual = 15 / 4
    assert max(decision.desired for decision in broken) <= math.ceil(3 * usual) < 20


def test_without_experience_it_sizes_for_utilisation() -> None:
    decision = Loop().tick(service_seconds=0.7, service_seconds_p95=None)
    assert decision.desired == math.ceil(50 * 0.7 / 0.97 / 4)


def test_no_service_time_yet_is_taken_from_the_parameters() -> None:
    decision = Loop(replace(PARAMETERS, service_seconds=0.3)).tick(
        service_seconds=None, service_seconds_p95=None
    )
    assert decision.inputs["service_seconds"] == 0.3


def test_start_up_times_are_learned_from_replicas_that_become_ready() -> None:
    loop = Loop()
    loop.tick()
    loop.tick(running=6, ready=4)
    loop.ticks(2, running=6, ready=4)
    assert loop.tick(running=6, ready=6).inputs["horizon_seconds"] == 15 + 5
    # One that is stopped before it is ready teaches nothing.
    loop.tick(running=7, ready=6)
    assert loop.tick(running=6, ready=6).inputs["horizon_seconds"] == 20
    assert loop.state.get("starting", []) == []


def test_surprises_raise_the_reserve_and_calm_lowers_it() -> None:
    loop = Loop()
    loop.ticks(20)
    for rate in (50.0, 90.0) * 40:
        loop.tick(arrival_rate=rate, arrival_rate_60s=50.0)
    surprised = loop.tick(arrival_rate=50.0, arrival_rate_60s=50.0)
    assert surprised.inputs["reserve"] > 1
    assert "a reserve for bursts" in surprised.explanation
    loop.ticks(600)
    assert loop.tick().inputs["reserve"] == 0


def test_the_reserve_of_a_service_that_is_left_alone_fades_until_the_fewest_are_left() -> None:
    loop = Loop()
    for rate in (5.0, 90.0) * 40:
        loop.tick(arrival_rate=rate, arrival_rate_60s=50.0)
    nothing = dict.fromkeys(("arrival_rate", "arrival_rate_60s", "in_system", "busy"), 0.0)
    left = loop.ticks(1500, **nothing)
    reserves = [one.inputs["reserve"] for one in left if "reserve" in one.inputs]
    assert reserves[0] * 0.2 > 4  # slots of work: more than one replica's
    assert reserves[-1] < 0.1 * reserves[0]
    assert left[-1].desired == 1


def test_no_coverage_is_no_reserve() -> None:
    loop = Loop(replace(PARAMETERS, reserve_coverage=0.0))
    for rate in (50.0, 90.0) * 40:
        loop.tick(arrival_rate=rate, arrival_rate_60s=50.0)
    assert loop.tick().inputs["reserve"] == 0


@pytest.mark.parametrize(
    ("told", "busy", "queued", "slots"),
    [
        (8, 16.0, 20.0, 4),  # full with 4 busy each, though 8 are said
        (4, 16.0, 20.0, 4),  # as said
        (2, 13.0, 0.0, 4),  # 13 of 8 are busy: at least ⌈13/4⌉
        (4, 16.0, 2.0, 4),  # too few wait to say that all is full
        (8, 0.0, 20.0, 1),  # stuck, but there is no replica without slots
    ],
)
def test_true_slots_are_learned(told: int, busy: float, queued: float, slots: int) -> None:
    loop = Loop(replace(PARAMETERS, min=4, max=4))
    loop.ticks(9, slots_per_replica=told, busy=8.0)
    seen = loop.ticks(6, slots_per_replica=told, busy=busy, queued=queued)[-1]
    assert seen.inputs["slots_per_replica"] == slots
    assert ("was seen to have" in seen.explanation) == (slots != told)


def test_more_slots_than_were_seen_are_tried_until_requests_queue() -> None:
    loop = Loop(replace(PARAMETERS, min=4, max=4))
    loop.ticks(9, slots_per_replica=2, busy=8.0)
    found = loop.ticks(2, slots_per_replica=2, busy=10.0)[-1].inputs["slots_per_replica"]
    assert found == 3
    tried = loop.ticks(40, slots_per_replica=2, busy=10.0)[-1].inputs["slots_per_replica"]
    assert tried == 4
    full = loop.ticks(3, slots_per_replica=2, busy=12.0, queued=9.0)[-1].inputs
    assert full["slots_per_replica"] == 3
    after = loop.ticks(40, slots_per_replica=2, busy=10.0)[-1].inputs["slots_per_replica"]
    assert after == 3


def test_another_number_of_slots_is_believed_anew() -> None:
    loop = Loop(replace(PARAMETERS, min=4, max=4))
    loop.ticks(12, slots_per_replica=8, busy=16.0, queued=20.0)
    assert loop.tick(slots_per_replica=6).inputs["slots_per_replica"] == 6


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
def test_bad_signals_hold_the_number_and_say_why(name: str) -> None:
    loop = Loop(desired=9, ready=9, running=9)
    loop.tick()
    held = loop.signals.desired
    decision = loop.tick(**BAD[name], problem="Prometheus cannot be reached")
    assert (decision.desired, decision.reason) == (held, "no-signal")
    assert decision.explanation.startswith(f"{held} held: ")
    assert decision.explanation.endswith("(Prometheus cannot be reached)")


def test_blind_for_a_minute_there_are_as_many_as_the_last_hour_needed() -> None:
    loop = Loop()
    loop.ticks(10, arrival_rate=100.0, arrival_rate_60s=100.0)
    loop.ticks(200)
    low = loop.signals.desired
    blind = loop.ticks(30, arrival_rate=None)
    assert {decision.desired for decision in blind[:12]} == {low}
    assert blind[13].desired == 7 > low
    assert "and the last hour needed 7 replicas" in blind[12].explanation
    # And back: nothing shrinks at once.
    assert {decision.desired for decision in loop.ticks(30)} == {7}


def test_frozen_signals_hold_from_the_first_tick_on() -> None:
    loop = Loop(desired=9, ready=9, running=9)
    loop.ticks(34)
    still = {"latency_seconds": 0.5001, "arrival_rate": 5.0, "arrival_rate_60s": 5.0}
    loop.tick(**still)
    held = loop.signals.desired
    frozen = loop.ticks(60, **still)
    assert {decision.desired for decision in frozen} == {held}
    assert "the signals stand still, so none leaves" in frozen[0].explanation
    assert frozen[-1].reason == "no-signal"
    assert "they are frozen" in frozen[-1].explanation


def test_an_idle_service_is_not_frozen() -> None:
    loop = Loop(desired=3, ready=3, running=3)
    idle = {
        "arrival_rate": 0.0, "arrival_rate_60s": 0.0, "in_system": 0.0, "busy": 0.0,
        "service_seconds": None, "service_seconds_p95": None, "latency_seconds": None,
    }  # fmt: skip
    assert [decision.desired for decision in loop.ticks(60, **idle)][-1] == 1
    assert "the minimum is 1" in loop.tick(**idle).explanation


def test_busy_slots_contradict_a_rate_that_fell_to_nothing() -> None:
    decision = Loop().tick(arrival_rate=0.0, arrival_rate_60s=0.0, in_system=0.0, busy=16.0)
    # 16 - 3·√16 = 4 slots are busy for certain.
    assert (decision.inputs["slots"], decision.inputs["stay_slots"]) == (0, 8)


def test_the_maximum_limits_and_says_so() -> None:
    decision = Loop(replace(PARAMETERS, max=3), desired=3, ready=3, running=3).tick()
    assert (decision.desired, decision.reason) == (3, "limited")
    assert "the maximum is 3" in decision.explanation


def test_a_state_that_cannot_be_read_is_an_empty_one() -> None:
    decide = sloq(PARAMETERS)
    empty = decide({}, CALM, 5.0)
    for state in ({"now": "?"}, {"targets": 3}, {"other": 1}, {"margin": -1.0}):
        assert decide(state, CALM, 5.0) == empty


def test_a_resizer_that_was_away_teaches_nothing_about_starting() -> None:
    loop = Loop()
    loop.ticks(3)
    loop.tick(ready=0, running=0, problem="the resizer is away")
    loop.ticks(2)
    assert "startups" not in loop.state


def test_a_clock_that_is_set_back_starts_anew() -> None:
    decide = sloq(PARAMETERS)
    later = decide({}, CALM, 500.0)
    assert decide(later.state, CALM, 5.0) == decide({}, CALM, 5.0)


def test_a_change_down_is_limited_in_words_too() -> None:
    loop = Loop(desired=20, ready=20, running=20)
    falling = loop.ticks(60)
    assert any("no more than 25% leave in 30 s" in one.explanation for one in falling)


def test_the_settings_reach_it_and_its_decisions_replay() -> None:
    settings = Settings.model_validate(
        {
            "slo": {"latency_seconds": 0.6},
            "replicas": {"min": 2, "start": 2, "max": 9},
            "autoscaler": {"policy": "sloq"},
        }
    )
    decision = configured(settings).policy({}, CALM, 5.0)
    parameters = decision.inputs["parameters"]
    assert parameters == asdict(SloqParameters(min=2, max=9, slo_seconds=0.6))
    assert policy_from_parameters("sloq", parameters)({}, CALM, 5.0) == decision
