"""Another policy on recorded decisions, with the same objective, wrappers and tick."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from typing import Any

import orjson
import pytest

from support.harnesses.recorded_decisions import read
from tidegate.autoscaler.live.override import Override, apply_override
from tidegate.autoscaler.policy_expression import PolicyError
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals
from tidegate.autoscaler.wrappers.schedule import scheduled
from tidegate.lab.replay.counterfactual import other_policy, recorded_tick_seconds
from tidegate.lab.replay.decisions import shortened
from tidegate.lab.replay.what_if import TickComparison, totals, what_if
from tidegate.settings import Settings
from tidegate.settings.schedule import ScheduleWindow

Recorded = Callable[..., list[dict[str, Any]]]
BOUNDS = Bounds(1, 30)
# The recording is of 8:18 to 8:28.
WINDOW = ScheduleWindow(cron="0 8 * * *", min=12, minutes=23)
# Another objective, other bounds and other ticks than where it was recorded.
ELSEWHERE = Settings.model_validate(
    {
        "slo": {"latency_seconds": 9.0},
        "replicas": {"min": 20, "start": 20, "max": 21},
        "autoscaler": {"tick_seconds": 60},
    }
)


def over(events: list[dict[str, Any]], words: str) -> list[TickComparison]:
    decisions = read(events)
    return what_if(decisions, *other_policy(decisions, words, ELSEWHERE))


def in_schedule(policy: Policy) -> Policy:
    return scheduled(policy, [WINDOW], BOUNDS)


def in_part(begin: float, end: float, control: Override) -> Callable[[Policy], Policy]:
    """The policy under a control between two times of the run."""

    def around(policy: Policy) -> Policy:
        held = apply_override(policy, control, BOUNDS)

        def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
            return (held if begin <= now < end else policy)(state, signals, now)

        return decide

    return around


def test_a_schedule_bounds_the_other_policy_as_it_did_the_recorded_one(recorded: Recorded) -> None:
    rows = over(recorded(wrap=in_schedule), "sloq")
    actual, other = totals(rows)
    assert other.replica_seconds == pytest.approx(actual.replica_seconds, rel=0.15)
    open_now = [row for row in rows if row.actual.now < 23 * 60]
    assert 30 < len(open_now) < len(rows)
    assert {row.other.desired for row in open_now if row.actual.now < 19.9 * 60} == {12}
    assert min(row.other.desired for row in open_now) == 12
    assert min(row.other.desired for row in over(recorded("step"), "step")) < 12


def test_a_pause_or_manual_bounds_apply_to_the_other_policy_too(recorded: Recorded) -> None:
    events = recorded(wrap=in_part(1190, 1300, Override(until=2e9)))
    rows = over(events, "hpa")
    paused = [row for row in rows if 1190 <= row.actual.now < 1300]
    assert {row.other.reason for row in paused} == {"paused"}
    assert len({row.other.desired for row in paused}) == 1
    assert {row.other.reason for row in rows if row.actual.now > 1300} != {"paused"}

    events = recorded(wrap=in_part(1190, 1300, Override(until=2e9, min=2, max=3)))
    bounded = [row for row in over(events, "hpa") if 1190 <= row.actual.now < 1300]
    assert max(row.other.desired for row in bounded) == 3


def test_it_uses_the_objective_and_the_bounds_of_the_recording(recorded: Recorded) -> None:
    decisions = read(recorded(ticks=3))
    policy = other_policy(decisions, "surge", ELSEWHERE)[0](decisions[0])
    reported = policy({}, decisions[0].signals, 0.0).inputs["parameters"]
    assert (reported["slo_seconds"], reported["min"], reported["max"]) == (0.6, 1, 30)


@pytest.mark.parametrize("other", ["hpa", "hpa:predictive=0", "hpa:predictive=1"])
@pytest.mark.parametrize("own", ["sloq", "sloq:predictive=1"])
def test_it_prepares_for_rises_by_the_clock_as_recorded_or_as_it_says(
    own: str, other: str, recorded: Recorded
) -> None:
    row = over(recorded(own, ticks=1), other)[0]
    prepares = other.endswith("=1") or (own.endswith("=1") and other == "hpa")
    start = 12.0 if own.endswith("=1") else 60.0
    expected = {"start_seconds": start} if prepares else None
    assert row.other.inputs["parameters"].get("predictive") == expected


@pytest.mark.parametrize(("recorded_words", "every"), [("sloq", 5.0), ("hpa", 15.0), ("hpa", 5.0)])
def test_without_a_tick_option_it_decides_at_each_recorded_tick(
    recorded_words: str, every: float, recorded: Recorded
) -> None:
    decisions = read(recorded(recorded_words, every=every))
    assert recorded_tick_seconds(decisions) == every
    policy_at, tick = other_policy(decisions, "ray-serve", ELSEWHERE)
    assert tick == every
    rows = what_if(decisions, policy_at, tick)
    assert {row.other.inputs["parameters"]["tick_seconds"] for row in rows} == {every}


def test_the_tick_option_sets_the_time_between_decisions(recorded: Recorded) -> None:
    rows = over(recorded(), "hpa:tick=60")
    begin = rows[0].actual.now
    asked = [row.actual.now - begin for row in rows if row.other.inputs]
    assert asked == [60.0 * number for number in range(10)]
    moved = [
        after.actual.now - begin
        for before, after in pairwise(rows)
        if after.other.desired != before.other.desired
    ]
    assert moved
    assert all(at % 60 == 0 for at in moved)
    assert rows[1].other.explanation.endswith(" held: it decides every 60 s")
    assert totals(rows)[1] != totals(over(recorded("step"), "hpa"))[1]


def test_ticks_late_by_milliseconds_count_as_due(recorded: Recorded) -> None:
    events = recorded("hpa")
    for number, event in enumerate(events):
        event["tidegate"]["decision"]["now"] += 0.004 * (number % 3)
    decisions = read(events)
    assert recorded_tick_seconds(decisions) == 5.0
    assert all(row.other.inputs for row in over(events, "step"))
    assert len([row for row in over(events, "step:tick=10") if row.other.inputs]) == 60


def test_decisions_between_ticks_are_no_ticks(recorded: Recorded) -> None:
    events = recorded("max(sloq,hpa)")
    for event in events[4:8]:
        for seconds in (1.0, 2.0):
            between = deepcopy(event)
            fields = between["tidegate"]["decision"]
            fields["now"] += seconds
            fields["signals"]["between"] = True
            events.append(between)
    events = sorted(events, key=lambda event: event["tidegate"]["decision"]["now"])[:18]
    assert recorded_tick_seconds(read(events)) == 5.0


def test_a_shorter_tick_than_recorded_is_refused(recorded: Recorded) -> None:
    with pytest.raises(PolicyError, match=r"'hpa:tick=2': tick must be at least 5"):
        over(recorded(), "hpa:tick=2")


def test_for_a_single_decision_the_tick_is_that_of_the_settings(recorded: Recorded) -> None:
    decisions = read(recorded("hpa", ticks=1))
    assert recorded_tick_seconds(decisions) is None
    assert other_policy(decisions, "step", ELSEWHERE)[1] == 60.0


@pytest.mark.parametrize("words", ["kpa", "sloq"])
def test_shortened_decisions_are_replayed_as_whole_ones(recorded: Recorded, words: str) -> None:
    whole = recorded(wrap=in_schedule)
    short = list(shortened(reversed(whole)))[::-1]
    assert len(orjson.dumps(short)) < 0.6 * len(orjson.dumps(whole))
    replayed = over(whole, words)
    assert [one.other for one in over(short, words)] == [one.other for one in replayed]
    assert totals(over(short, words)) == totals(replayed)
