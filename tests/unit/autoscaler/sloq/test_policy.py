"""Decisions of SLOQ, tick by tick, and their explanations."""

import math
from dataclasses import asdict, replace
from typing import Any

import pytest

from support.harnesses.sloq_loop import CALM, PARAMETERS, SloqLoop
from tidegate.autoscaler.live.configured_policy import configured_policy
from tidegate.autoscaler.policy_builder import policy_from_parameters
from tidegate.autoscaler.sloq.learning import busy_with_arrivals
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.sloq.queueing import wait_exceeds
from tidegate.autoscaler.sloq.signal_checks import check_signals
from tidegate.autoscaler.sloq.state import SloqState
from tidegate.settings import Settings


def test_the_size_is_the_minimum_that_keeps_the_wait() -> None:
    decision = SloqLoop().tick()
    needed = decision.inputs["slots"]
    # Of the 0.14 s that the objective leaves, 0.35 times in a slot are planned for, over the slowdown that it
    # allows: from 0.46 s to 0.51 s.
    patience, late = 0.35 / (0.51 / 0.46), 0.2 * 0.05
    assert wait_exceeds(needed, 10.0, patience) <= late < wait_exceeds(needed - 1, 10.0, patience)
    assert decision.desired == math.ceil(needed / 4) == 4


def test_a_decision_is_explained_in_a_sentence() -> None:
    decision = SloqLoop(desired=2, ready=3, running=3).tick()
    assert (decision.desired, decision.reason) == (4, "up")
    assert decision.explanation == (
        "2 → 4: 50 requests/s × 0.2 s = 10.0 slots of work;"  # noqa: RUF001
        " 4 replicas should keep P(wait > 0.063 s) ≤ 1 %;"
        " p95 of the last minute is 0.5 s, within the objective of 0.6 s"
    )


def test_starting_replicas_count_so_that_a_scale_up_does_not_cascade() -> None:
    loop = SloqLoop(desired=2, ready=2, running=2)
    # 40 of 50 requests a second are served for 35 s: 352 will wait, 17.6 slots of work for 4 s.
    first = loop.tick()
    assert (first.inputs["backlog"], first.desired) == (pytest.approx(17.6, abs=0.1), 9)
    assert "the backlog ahead adds 17.6 slots for 4 s" in first.explanation
    for _ in range(5):
        assert loop.tick(ready=2, running=9).desired == 9


def test_scale_up_is_immediate_and_scale_down_takes_two_minutes_and_small_steps() -> None:
    loop = SloqLoop()
    loop.ticks(3)
    assert loop.tick(arrival_rate=200.0, arrival_rate_60s=200.0).desired >= 12
    loop.ticks(40, arrival_rate=200.0, arrival_rate_60s=200.0)
    top = loop.signals.desired
    falling = loop.ticks(120)
    assert {decision.desired for decision in falling[:23]} == {top}
    assert falling[0].reason == "stabilized"
    assert "is the largest target of the last 120 s" in falling[0].explanation
    numbers = [decision.desired for decision in falling[23:]]
    for before, after in zip([top, *numbers], [*numbers, 5], strict=True):
        assert before - after <= max(1, before // 4)
    # 4 would do, but not with 8 % more work.
    assert numbers[-1] == 5


def test_a_rise_is_forecast_to_when_a_new_replica_is_ready() -> None:
    rising = SloqLoop().tick(arrival_rate=80.0, arrival_rate_60s=50.0)
    # 30/s more over 22.5 s, followed for 35 + 7.5 s: 137/s.
    assert rising.inputs["rate_ahead"] == pytest.approx(80 + 30 / 22.5 * 42.5)
    assert "the rate of 80 requests/s is rising, forecast 35 s ahead" in rising.explanation


def test_noise_is_no_rise_and_a_forecast_is_at_most_twice_the_rate() -> None:
    noise = SloqLoop().tick(arrival_rate=53.0, arrival_rate_60s=50.0)
    assert noise.inputs["rate_ahead"] == 53.0
    jump = SloqLoop().tick(arrival_rate=100.0, arrival_rate_60s=30.0)
    assert jump.inputs["rate_ahead"] == 200.0


def test_a_backlog_is_worked_off() -> None:
    decision = SloqLoop().tick(in_system=300.0, busy=16.0, queued=284.0)
    # 300 - 1.5·10 - 2·√300 = 250 requests of 0.2 s in 10 s are 5 slots.
    assert decision.inputs["backlog"] == pytest.approx(5.0, abs=0.01)
    assert decision.desired == 6
    assert "the backlog adds 5.0 slots for 10 s" in decision.explanation


def test_latency_over_the_objective_adds_a_margin_that_fades() -> None:
    loop = SloqLoop()
    loop.ticks(20)
    assert loop.tick().inputs["margin"] == 0
    worst = [loop.tick(latency_seconds=0.9 + number / 1000) for number in range(60)][-1]
    # Each 30 s, but for the minutes in which new replicas settle.
    assert 0.1 <= worst.inputs["margin"] <= 0.5
    assert "is added because latency exceeded the objective" in worst.explanation
    # 5 % in 30 s are lost, from 0.2 to 0.005 within 36 minutes.
    loop.ticks(500)
    assert loop.tick().inputs["margin"] == 0


def test_latency_is_used_only_when_all_replicas_are_ready() -> None:
    loop = SloqLoop()
    for number in range(40):
        loop.tick(latency_seconds=0.9 + number / 1000, ready=2, running=4)
    assert loop.tick().inputs["margin"] == 0


def test_an_objective_that_replicas_cannot_meet_adds_few_replicas() -> None:
    loop = SloqLoop()
    loop.ticks(60)
    broken = loop.ticks(60, service_seconds=2.0, service_seconds_p95=4.0, in_system=400.0)
    assert not broken[0].inputs["meetable"]
    assert "the objective cannot be met by adding replicas" in broken[0].explanation
    usual = 15 / 4
    assert max(decision.desired for decision in broken) <= math.ceil(3 * usual) < 20


@pytest.mark.parametrize("rate", [50.0, 100.0, 150.0, 200.0, 240.0, 250.0])
def test_an_objective_that_replicas_cannot_meet_does_not_scale_to_the_maximum(rate: float) -> None:
    loop = SloqLoop(desired=20, ready=20, running=20)
    loop.signals = replace(loop.signals, arrival_rate=rate, arrival_rate_60s=rate)
    usual = loop.ticks(150)[-1].inputs["wanted"]
    broken = loop.ticks(60, service_seconds=1.6, service_seconds_p95=3.7, in_system=900.0)
    most = max(one.inputs["wanted"] for one in broken)
    assert most <= max(usual, (usual + 20) // 2)
    assert most < 20 or usual >= 19


def test_without_a_usual_size_it_sizes_for_utilisation() -> None:
    decision = SloqLoop().tick(service_seconds=0.7, service_seconds_p95=None)
    assert decision.desired == math.ceil(50 * 0.7 / 0.97 / 4)
    more = SloqLoop().tick(service_seconds=1.4, service_seconds_p95=None)
    assert more.desired == (1 + 20) // 2 < math.ceil(50 * 1.4 / 0.97 / 4)


def test_a_missing_service_time_is_taken_from_the_parameters() -> None:
    decision = SloqLoop(replace(PARAMETERS, service_seconds=0.3)).tick(
        service_seconds=None, service_seconds_p95=None
    )
    assert decision.inputs["service_seconds"] == 0.3


def test_start_up_times_are_learned_from_replicas_that_become_ready() -> None:
    loop = SloqLoop()
    loop.tick()
    loop.tick(running=6, ready=4)
    loop.ticks(2, running=6, ready=4)
    assert loop.tick(running=6, ready=6).inputs["horizon_seconds"] == 15 + 5
    # One that is stopped before it is ready teaches nothing.
    loop.tick(running=7, ready=6)
    assert loop.tick(running=6, ready=6).inputs["horizon_seconds"] == 20
    assert loop.state.get("starting", []) == []


def test_forecast_errors_raise_the_reserve_and_their_absence_lowers_it() -> None:
    loop = SloqLoop()
    loop.ticks(20)
    for rate in (50.0, 90.0) * 40:
        loop.tick(arrival_rate=rate, arrival_rate_60s=50.0)
    surprised = loop.tick(arrival_rate=50.0, arrival_rate_60s=50.0)
    assert surprised.inputs["reserve"] > 1
    assert "a reserve for bursts" in surprised.explanation
    loop.ticks(600)
    assert loop.tick().inputs["reserve"] == 0


def test_the_reserve_of_an_idle_service_decays_to_the_minimum() -> None:
    loop = SloqLoop()
    for rate in (5.0, 90.0) * 40:
        loop.tick(arrival_rate=rate, arrival_rate_60s=50.0)
    nothing = dict.fromkeys(("arrival_rate", "arrival_rate_60s", "in_system", "busy"), 0.0)
    left = loop.ticks(1500, **nothing)
    reserves = [one.inputs["reserve"] for one in left if "reserve" in one.inputs]
    assert reserves[0] * 0.2 > 4  # slots of work: more than one replica's
    assert reserves[-1] < 0.1 * reserves[0]
    assert left[-1].desired == 1


def test_no_coverage_is_no_reserve() -> None:
    loop = SloqLoop(replace(PARAMETERS, reserve_coverage=0.0))
    for rate in (50.0, 90.0) * 40:
        loop.tick(arrival_rate=rate, arrival_rate_60s=50.0)
    assert loop.tick().inputs["reserve"] == 0


def test_the_maximum_limits_the_number_and_is_explained() -> None:
    decision = SloqLoop(replace(PARAMETERS, max=3), desired=3, ready=3, running=3).tick()
    assert (decision.desired, decision.reason) == (3, "limited")
    assert "the maximum is 3" in decision.explanation


def test_an_unreadable_state_counts_as_empty() -> None:
    decide = sloq(PARAMETERS)
    empty = decide({}, CALM, 5.0)
    for state in ({"now": "?"}, {"targets": 3}, {"other": 1}, {"margin": -1.0}):
        assert decide(state, CALM, 5.0) == empty


def test_an_unreachable_resizer_teaches_no_start_up_time() -> None:
    loop = SloqLoop()
    loop.ticks(3)
    loop.tick(ready=0, running=0, problem="the resizer is away")
    loop.ticks(2)
    assert "startups" not in loop.state


def test_a_clock_set_back_resets_the_state() -> None:
    decide = sloq(PARAMETERS)
    later = decide({}, CALM, 500.0)
    assert decide(later.state, CALM, 5.0) == decide({}, CALM, 5.0)


def test_the_limit_of_a_scale_down_is_explained() -> None:
    loop = SloqLoop(desired=20, ready=20, running=20)
    falling = loop.ticks(60)
    assert any("at most 25% are removed in 30 s" in one.explanation for one in falling)


def test_the_settings_are_its_parameters_and_its_decisions_replay() -> None:
    settings = Settings.model_validate(
        {
            "slo": {"latency_seconds": 0.6},
            "replicas": {"min": 2, "start": 2, "max": 9},
            "autoscaler": {"policy": "sloq", "predictive": False},
        }
    )
    decision = configured_policy(settings).policy({}, CALM, 5.0)
    parameters = decision.inputs["parameters"]
    assert parameters == asdict(SloqParameters(min=2, max=9, slo_seconds=0.6))
    assert policy_from_parameters("sloq", parameters)({}, CALM, 5.0) == decision


@pytest.mark.parametrize(
    ("slo_seconds", "changed", "patience"),
    [
        # 0.35 times in a slot of 0.2 s, over how many times 0.46 s are 85 % of the objective.
        (0.6, {}, 0.07 / (0.51 / 0.46)),
        (0.9, {}, 0.07 / (0.765 / 0.46)),
        # Over 2 at most.
        (1.2, {}, 0.07 / 2),
        (60.0, {}, 0.07 / 2),
        # An objective that requests could not meet if they took longer.
        (0.5, {}, 0.07),
        (1.2, {"slowdown_most": 1.0}, 0.07),
        (1.2, {"slowdown_most": 1.5}, 0.07 / 1.5),
        # What the objective leaves is planned for.
        (1.2, {"patience_most": 0.0}, 0.74),
        (1.2, {"patience_most": 9.0}, 0.74),
        # Less than that is left, and the least wait is 0.15 of the objective.
        (0.5, {"patience_most": 0.5}, 0.075),
    ],
)
def test_the_wait_to_plan_for_is_limited_by_the_time_in_a_slot(
    slo_seconds: float, changed: dict[str, Any], patience: float
) -> None:
    parameters = replace(PARAMETERS, slo_seconds=slo_seconds, **changed)
    assert SloqLoop(parameters).tick().inputs["patience_seconds"] == pytest.approx(patience)


@pytest.mark.parametrize(
    ("rate", "replicas", "patience"),
    [
        # 0.8 of 4 slots: one replica would do with a wait of 0.035 s as well.
        (4.0, 1, 0.74),
        # 2 of 4 slots: 6 slots for a wait of 0.035 s, 4 for the 0.74 s that the objective leaves.
        (10.0, 1, 0.74),
        # 3 of 4 slots are too many for either.
        (15.0, 2, 0.035),
    ],
)
def test_one_replica_that_keeps_the_objective_is_enough(
    rate: float, replicas: int, patience: float
) -> None:
    calm = replace(
        CALM, arrival_rate=rate, arrival_rate_60s=rate, in_system=rate / 5, busy=rate / 5
    )
    decision = sloq(replace(PARAMETERS, slo_seconds=1.2))({}, calm, 5.0)
    assert decision.inputs["wanted"] == replicas
    assert decision.inputs["patience_seconds"] == pytest.approx(patience)
    assert f"{replicas} replica" in decision.explanation


@pytest.mark.parametrize(
    ("queues", "held"),
    [
        # Of 40 busy slots, 30 work off 750 requests of 0.2 s in 5 s; 10 serve those that arrive.
        ((2250.0, 1500.0, 750.0), 17),
        # A queue that does not shrink: 40 - 3·√40 slots are busy for certain with what arrives.
        ((3000.0, 3000.0, 3000.0), 29),
        ((4000.0, 5000.0, 6000.0), 29),
    ],
)
def test_slots_that_work_off_a_queue_are_no_load_that_replicas_stay_for(
    queues: tuple[float, ...], held: int
) -> None:
    loop = SloqLoop(desired=10, ready=10, running=10)
    loop.ticks(40)
    full = {"ready": 10, "running": 10, "busy": 40.0}
    loop.tick(**full, queued=3000.0, in_system=3040.0)
    for queued in queues:
        last = loop.tick(**full, queued=queued, in_system=40 + queued)
        assert last.inputs["stay_slots"] == held


def test_fewer_requests_in_the_system_without_a_queue_change_no_busy_slots() -> None:
    state = SloqState(now=0.0, queued=0.0, traffic=(50.0, 50.0, 30.0), service_seconds=0.2)
    checked = check_signals(replace(CALM, busy=10.0), state, PARAMETERS, 5.0)
    assert busy_with_arrivals(state, checked, 5.0) == 10.0
    # Of the 20 fewer, 5 were queued: 5·0.2/5 = 0.2 slots.
    queue = state.model_copy(update={"queued": 5.0})
    assert busy_with_arrivals(queue, checked, 5.0) == pytest.approx(9.8)
    # Unknown, as after decisions recorded without it.
    unknown = state.model_copy(update={"queued": None})
    assert busy_with_arrivals(unknown, checked, 5.0) == 10.0


def test_a_largest_target_above_the_maximum_names_the_maximum() -> None:
    loop = SloqLoop(replace(PARAMETERS, max=6))
    loop.ticks(20, arrival_rate=200.0, arrival_rate_60s=200.0)
    held = [one.explanation for one in loop.ticks(12) if one.reason == "stabilized"]
    assert any(
        " is the largest target of the last 120 s, and the maximum is 6" in one for one in held
    )
