"""Decisions of SLOQ, tick by tick, and their explanations."""

import math
from dataclasses import replace

import pytest

from support.erlang import wait_exceeds
from support.harnesses.sloq_loop import CALM, PARAMETERS, SloqLoop
from tidegate.autoscaler.live.configured_policy import configured_policy
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.types import Decision
from tidegate.settings import Settings


def test_the_size_is_the_minimum_that_keeps_the_wait() -> None:
    found = SloqLoop().tick().inputs
    # 0.3 of the time in a slot of 0.2 s, which is longer than the 0.14 s that the objective leaves.
    wait, late = 0.3 * 0.2, 0.2 * 0.05
    assert (found["wait_seconds"], found["late"]) == (pytest.approx(wait), pytest.approx(late))
    slots = found["slots"]
    assert wait_exceeds(slots, 10.0, wait / 0.2) <= late < wait_exceeds(slots - 1, 10.0, wait / 0.2)
    assert found["wanted"] == math.ceil(slots / 4) == 4


def test_starting_replicas_count_so_that_a_scale_up_does_not_cascade() -> None:
    loop = SloqLoop(desired=2, ready=2, running=2)
    # 40 of 50 requests a second are served for 35 s: 352 will wait, counted 2.5 times and worked off in 10 s.
    first = loop.tick()
    assert (first.inputs["backlog"], first.desired) == (pytest.approx(352), 9)
    assert "352 requests will queue before a new replica is ready" in first.explanation
    for _ in range(5):
        assert loop.tick(ready=2, running=9).desired == 9


@pytest.mark.parametrize(
    ("measured", "queued", "desired"),
    # Of 4 slots. At 1 ms one replica serves 1,000/s; the 0.1 s that are assumed would need 25.
    [({}, 0.0, 1), ({}, 6.0, 4), ({"service_seconds": 0.05}, 0.0, 20)],
)
def test_a_jump_before_a_slot_time_is_measured_adds_no_more_than_what_waits(
    measured: dict[str, float], queued: float, desired: int
) -> None:
    nothing = {"service_seconds": None, "service_seconds_p95": None, "latency_seconds": None}
    loop = SloqLoop(desired=1, ready=1, running=1, arrival_rate=0.0, arrival_rate_60s=0.0)
    loop.signals = replace(loop.signals, in_system=0.0, busy=0.0, completed_rate=0.0)
    loop.tick(**{**nothing, **measured})
    jump = {"gateway_arrivals": 1000.0, "gateway_seconds": 1.0, "gateway_queued": queued}
    jumped = loop.tick(**{**nothing, **measured}, **jump, between=True)
    assert jumped.desired == desired


def test_requests_that_come_in_bunches_need_more_slots_than_as_many_at_random() -> None:
    def decided(dispersion: float | None) -> Decision:
        return SloqLoop().tick(gateway_queued=0.0, gateway_dispersion=dispersion)

    random = decided(None).desired
    assert decided(1.0).desired == random
    bunches = decided(30.0)
    assert bunches.desired > random
    assert (
        "requests come in bunches: those of half a second vary 30 times as" in bunches.explanation
    )


def test_scale_up_is_immediate_and_scale_down_takes_170_seconds() -> None:
    loop = SloqLoop()
    loop.ticks(3)
    assert loop.tick(arrival_rate=200.0, arrival_rate_60s=200.0).desired >= 12
    loop.ticks(40, arrival_rate=200.0, arrival_rate_60s=200.0)
    top = loop.signals.desired
    falling = loop.ticks(120)
    assert {decision.desired for decision in falling[:33]} == {top}
    assert falling[0].reason == "stabilized"
    assert (
        f"{top} were needed 5 s ago with a margin of 8 %, and stay for 170 s"
        in falling[0].explanation
    )
    # 4 would do, but not with 8 % more work.
    assert falling[-1].desired == 5


def test_an_objective_that_replicas_cannot_meet_adds_few_replicas() -> None:
    loop = SloqLoop()
    loop.ticks(60)
    broken = loop.ticks(60, service_seconds=2.0, service_seconds_p95=4.0, in_system=400.0)
    assert not broken[0].inputs["meetable"]
    assert "the objective cannot be met by adding replicas" in broken[0].explanation
    # Half-way from the 5 that were needed to 20.
    assert {decision.desired for decision in broken} == {(5 + 20) // 2}
    assert (
        "the queue grows with 12 replicas, and no more are tried: half-way from what met it to the"
        " maximum of 20"
    ) in broken[0].explanation


def test_an_objective_that_was_never_met_is_sized_for_utilisation() -> None:
    decision = SloqLoop().tick(service_seconds=0.7, service_seconds_p95=None)
    assert not decision.inputs["meetable"]
    assert decision.desired == math.ceil(50 * 0.7 / 0.97 / 4) == 10


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
    assert "in reserve for bursts) requests/s" in surprised.explanation
    loop.ticks(600)
    assert loop.tick().inputs["reserve"] == 0


def test_the_reserve_of_one_burst_is_gone_within_three_hours_of_a_trickle() -> None:
    loop = SloqLoop()
    for rate in (0.3, 130.0) * 20:
        loop.tick(arrival_rate=rate, arrival_rate_60s=rate / 2)
    trickle = {"arrival_rate": 0.3, "arrival_rate_60s": 0.3, "in_system": 0.0, "busy": 0.0}
    left = loop.ticks(2160, **trickle)
    assert left[0].inputs["reserve"] > 20  # more than one replica's
    assert left[-1].inputs["reserve"] < 0.1 * left[0].inputs["reserve"]
    assert left[-1].desired == 1


def test_no_coverage_is_no_reserve() -> None:
    loop = SloqLoop(replace(PARAMETERS, coverage=0.0))
    for rate in (50.0, 90.0) * 40:
        loop.tick(arrival_rate=rate, arrival_rate_60s=50.0)
    assert loop.tick().inputs["reserve"] == 0


def test_the_maximum_limits_the_number_and_is_explained() -> None:
    decision = SloqLoop(replace(PARAMETERS, max=3), desired=3, ready=3, running=3).tick()
    assert (decision.desired, decision.reason) == (3, "limited")
    assert "the maximum is 3" in decision.explanation


def test_an_unreachable_resizer_teaches_no_start_up_time() -> None:
    loop = SloqLoop(desired=5, ready=5, running=5)
    loop.ticks(3)
    loop.tick(ready=0, running=0, problem="the resizer is away")
    loop.ticks(2)
    assert "startups" not in loop.state


def test_a_clock_set_back_resets_the_state() -> None:
    decide = sloq(PARAMETERS)
    later = decide({}, CALM, 500.0)
    assert decide(later.state, CALM, 5.0) == decide({}, CALM, 5.0)


@pytest.mark.parametrize(
    ("slo_seconds", "wait_share", "wait"),
    [
        # 0.26 s are left of the objective, which is more than the mean time in a slot of 0.2 s.
        (0.72, 0.3, 0.3 * 0.26),
        # Less is left than that.
        (0.5, 0.3, 0.3 * 0.2),
        # The wait is within what is left, which is at least 15 % of the objective.
        (0.5, 0.9, 0.15 * 0.5),
        (0.6, 1.0, 0.14),
    ],
)
def test_the_wait_to_plan_for_is_a_part_of_what_the_objective_leaves(
    slo_seconds: float, wait_share: float, wait: float
) -> None:
    parameters = replace(PARAMETERS, slo_seconds=slo_seconds, wait_share=wait_share)
    found = SloqLoop(parameters).tick().inputs["wait_seconds"]
    assert found == pytest.approx(wait)


@pytest.mark.parametrize(
    ("startup", "queued", "share"),
    [
        # Half a second later, by the gateway's counters.
        (1.0, 0.0, 1 - 0.7 * 1.5 / 10),
        (4.0, 0.0, 1 - 0.7 * 4.5 / 10),
        (9.5, 0.0, 0.3),
        (90.0, 0.0, 0.3),
        # Without them a jump is known only ten seconds later.
        (1.0, None, 0.3),
    ],
)
def test_the_sooner_a_replica_answers_a_jump_the_more_of_the_wait_is_planned_for(
    startup: float, queued: float | None, share: float
) -> None:
    parameters = replace(PARAMETERS, slo_seconds=0.72)
    found = SloqLoop(parameters).tick(startups=(startup,), gateway_queued=queued).inputs
    assert found["wait_seconds"] == pytest.approx(share * 0.26)


@pytest.mark.parametrize(
    ("rate", "replicas", "wait"),
    [
        # 0.8 of 4 slots: one replica would do with the wait that is planned for as well.
        (4.0, 1, 0.74),
        # 2 of 4 slots: 5 slots for the planned wait, 4 for the 0.74 s that the objective leaves.
        (10.0, 1, 0.74),
        # 3 of 4 slots are too many for either.
        (15.0, 2, 0.3 * 0.74),
    ],
)
def test_one_replica_that_keeps_the_objective_is_enough(
    rate: float, replicas: int, wait: float
) -> None:
    calm = replace(
        CALM, arrival_rate=rate, arrival_rate_60s=rate, in_system=rate / 5, busy=rate / 5
    )
    decision = sloq(replace(PARAMETERS, slo_seconds=1.2))({}, calm, 5.0)
    assert decision.inputs["wanted"] == replicas
    assert decision.inputs["wait_seconds"] == pytest.approx(wait)
    assert f"{replicas} replica" in decision.explanation


@pytest.mark.parametrize(
    ("p95", "replicas"),
    # In means: of times that are alike, exponential, and lognormal with a coefficient of variation of 2.7.
    [(1.0, 1), (3.0, 1), (3.8, 2)],
)
def test_one_replica_is_too_few_where_requests_wait_behind_long_ones(
    p95: float, replicas: int
) -> None:
    # 0.4 of the only slot; the objective of 0.4 s is 10 mean times in it.
    one = {"slots_per_replica": 1, "ready": 1, "running": 1, "desired": 1, "in_system": 0.4}
    times = {"service_seconds": 0.04, "service_seconds_p95": 0.04 * p95, "busy": 0.4}
    rates = dict.fromkeys(("arrival_rate", "arrival_rate_60s", "completed_rate"), 10.0)
    decision = SloqLoop(replace(PARAMETERS, slo_seconds=0.4), **one, **times, **rates).tick()
    assert decision.inputs["wanted"] == replicas
    said = f"not for these: p95 of the time in a slot is {p95:g} times its mean"
    assert (said in decision.explanation) == (replicas > 1)


@pytest.mark.parametrize(
    ("priority", "coverage", "wait_share"),
    [("cost", 0.93, 0.6), ("balanced", 0.95, 0.3), ("latency", 0.98, 0.2)],
)
def test_the_priority_of_the_settings_sets_the_reserve_and_the_wait(
    priority: str, coverage: float, wait_share: float
) -> None:
    settings = Settings.model_validate({"autoscaler": {"priority": priority}})
    found = configured_policy(settings).policy({}, CALM, 5.0).inputs["parameters"]
    assert (found["coverage"], found["wait_share"]) == (coverage, wait_share)
    given = {"priority": priority, "policy": "sloq:coverage=0.5"}
    over = configured_policy(Settings.model_validate({"autoscaler": given})).parameters
    assert over["coverage"] == 0.5
