"""A tick: what is asked for, written down and shown, by what the tick is told."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest

from tidegate.autoscaler.audit.replay import replay
from tidegate.autoscaler.live.loop import Autoscaler
from tidegate.autoscaler.live.override import Override
from tidegate.autoscaler.live.signals import Reading
from tidegate.autoscaler.policy_builder import build_policy
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.types import Bounds
from tidegate.autoscaler.wrappers.scale_to_zero import ScaleToZeroParameters, scale_to_zero
from tidegate.resizer.contract import ReplicaStatus
from tidegate.runtime.event_log import Terminal

from ..room import ONE, THREE, Run, shown


async def test_a_new_number_is_asked_for_once(run: Run) -> None:
    assert await run.tick(reading=THREE) == 3
    assert await run.tick() == 3
    assert (run.room.asked, run.room.count) == ([3], 3)


async def test_a_number_that_stands_is_not_asked_for(run: Run) -> None:
    assert await run.tick() == 1
    assert run.room.asked == []


async def test_the_event_holds_all_of_the_decision_and_comes_before_the_deed(run: Run) -> None:
    await run.tick(reading=THREE, deaf=True)
    (event,) = run.desk.events("decision")
    assert event["message"] == (
        "1 → 3: 4.2 requests in the system over 2 slots is 2.10 per slot, target 0.70"
    )
    assert event["event"]["action"] == "decide"
    assert event["service"]["node"]["name"] == "autoscaler"
    told = event["tidegate"]["decision"]
    assert {name: told[name] for name in ("desired", "previous", "reason", "policy", "now")} == {
        "desired": 3,
        "previous": 1,
        "reason": "up",
        "policy": "hpa",
        "now": 5.0,
    }
    assert told["signals"]["in_system"] == 4.2
    assert told["inputs"]["recommendation"] == 3
    assert told["state"] == {}


@pytest.fixture
def full_disk() -> Iterator[TextIO]:
    with suppress(OSError), Path("/dev/full").open("w") as full:
        yield full


async def test_what_cannot_be_shown_keeps_no_decision_from_being_followed(
    run: Run, full_disk: TextIO
) -> None:
    run.desk.event_log.listeners = [Terminal(full_disk)]
    assert await run.tick(reading=THREE) == 3
    assert run.room.asked == [3]


async def test_every_tick_leaves_an_event_also_when_nothing_changes(run: Run) -> None:
    for _ in range(3):
        await run.tick()
    events = run.desk.events("decision")
    assert [event["tidegate"]["decision"]["reason"] for event in events] == ["tolerance"] * 3
    assert run.desk.terminal.getvalue() == ""


async def test_a_number_that_something_else_set_is_put_right_within_a_tick(run: Run) -> None:
    await run.tick(reading=THREE)
    # Within tolerance of 3: the policy alone would be content with any number it finds.
    assert await run.tick(count=1, reading=replace(ONE, in_system=None, problem="blind")) == 3
    assert (run.room.asked, run.room.count) == ([3, 3], 3)
    assert "another client of the resizer set 1 replicas; 3 were requested" in run.desk.said()


async def test_a_number_that_was_not_taken_is_asked_for_again_and_said_once(run: Run) -> None:
    await run.tick(reading=THREE, deaf=True)
    await run.tick()
    await run.tick(deaf=False)
    await run.tick()
    assert run.room.asked == [3, 3, 3]
    assert run.desk.said() == ["resize: deaf", "resize: resolved"]


async def test_an_answer_that_got_lost_is_no_trouble_once_it_shows_effect(run: Run) -> None:
    await run.tick(reading=THREE, deaf=True)
    await run.tick(count=3)
    assert run.desk.said() == ["resize: deaf", "resize: resolved"]


async def test_a_refused_number_is_given_up_for_the_one_that_is(run: Run) -> None:
    run.room.max_replicas = 2
    assert await run.tick(reading=THREE) == 3
    assert await run.tick(reading=replace(ONE, in_system=1.4)) == 1
    assert run.room.count == 1
    assert run.desk.said() == ["bounds: the resizer refused: at most 2"]


async def test_a_resizer_that_is_away_is_held_for_and_said_once(run: Run) -> None:
    await run.tick(reading=THREE)
    assert [await run.tick(away=True), await run.tick()] == [3, 3]
    assert await run.tick(away=False) == 3
    assert run.desk.said() == ["resizer: gone", "resizer: resolved"]
    reasons = [event["tidegate"]["decision"]["reason"] for event in run.desk.events("decision")]
    assert reasons == ["up", "no-signal", "no-signal", "tolerance"]


async def test_before_the_resizer_was_ever_seen_there_is_nothing_to_decide(run: Run) -> None:
    assert await run.tick(away=True) is None
    assert run.desk.events("decision") == []
    assert await run.tick(away=False) == 1


async def test_trouble_with_signals_is_said_when_it_comes_changes_and_goes(run: Run) -> None:
    for problem in ("", "a", "a", "b", "b", "", ""):
        await run.tick(reading=replace(ONE, problem=problem))
    assert run.desk.said() == ["signals: a", "signals: b", "signals: resolved"]
    levels = [event["log"]["level"] for event in run.desk.events("app")]
    assert levels == ["warn", "warn", "info"]
    assert "warn autoscaler: signals: a\n" in run.desk.terminal.getvalue()


async def test_a_history_that_is_lost_is_said_when_it_comes_and_goes(run: Run) -> None:
    for problem in ("", "lost", "lost", ""):
        await run.tick(reading=replace(ONE, history_problem=problem))
    assert run.desk.said() == ["history: lost", "history: resolved"]


async def test_an_outage_that_spreads_from_series_to_series_is_said_once(run: Run) -> None:
    for problem in ("no value: a", "no value: a, b", "no value: b"):
        await run.tick(reading=replace(ONE, problem=problem, cause="no value"))
    assert run.desk.said() == ["signals: no value: a"]


async def test_a_pause_is_in_force_from_the_next_tick_and_ends_by_itself(run: Run) -> None:
    end = run.autoscaler.unix() + 12.0
    run.autoscaler.read_override = lambda unix: (Override(end) if unix < end else None, "")
    assert [await run.tick(reading=THREE), await run.tick()] == [1, 1]
    assert "tidegate_autoscaler_paused 1.0" in shown(run)
    assert await run.tick() == 3
    assert "tidegate_autoscaler_paused 0.0" in shown(run)
    assert 'tidegate_autoscaler_decisions_total{reason="paused"} 2.0' in shown(run)
    assert run.desk.said() == ["paused until 2023-11-14 22:13Z", "the pause has ended"]
    first = run.desk.events("decision")[0]
    assert first["message"].startswith("1 held: paused until 2023-11-14 22:13Z; else 1 → 3: ")


async def test_a_bad_pause_stops_nothing_and_is_told_once(run: Run) -> None:
    run.autoscaler.read_override = lambda unix: (None, "no pause")
    assert [await run.tick(reading=THREE), await run.tick()] == [3, 3]
    run.autoscaler.read_override = lambda unix: (None, "")
    await run.tick()
    assert run.desk.said() == ["control: no pause", "control: resolved"]


async def test_a_dry_run_decides_from_the_number_that_is_there_and_tells_nobody(run: Run) -> None:
    run.autoscaler.dry_run = True
    assert [await run.tick(reading=THREE), await run.tick(), await run.tick(count=2)] == [3, 3, 3]
    assert run.room.asked == []
    assert run.desk.said() == []
    events = run.desk.events("decision")
    assert [event["tidegate"]["decision"]["previous"] for event in events] == [1, 1, 2]
    assert events[0]["tidegate"]["decision"]["dry_run"] is True
    assert events[0]["message"] == f"dry run: {replay(events[0]).explanation}"
    assert "dry run: 1 → 3" in run.desk.terminal.getvalue()
    for line in (
        "tidegate_autoscaler_dry_run 1.0",
        "tidegate_autoscaler_desired_replicas 3.0",
        'tidegate_replicas{state="desired"} 2.0',
    ):
        assert line in shown(run)
    assert await run.tick(away=True) == 2  # held, as it was last seen


async def test_the_policy_is_told_the_time_of_day(run: Run) -> None:
    await run.tick()
    [event] = run.desk.events("decision")
    assert event["tidegate"]["decision"]["signals"]["unix_seconds"] == 1_700_000_005.0


async def test_prometheus_and_the_resizer_are_asked_at_the_same_time(run: Run) -> None:
    both = asyncio.Barrier(2)

    async def read() -> Reading:
        await both.wait()
        return ONE

    async def status() -> ReplicaStatus:
        await both.wait()
        return ReplicaStatus(desired=1, running=1, ready=1, replicas=[])

    run.autoscaler.read = read
    run.room.status = status  # type: ignore[method-assign]
    async with asyncio.timeout(60):
        assert await run.tick() == 1


async def test_the_metrics_show_the_last_decision(run: Run) -> None:
    await run.tick(reading=THREE)
    for line in (
        'tidegate_replicas{state="desired"} 3.0',
        'tidegate_replicas{state="running"} 1.0',
        'tidegate_replicas{state="ready"} 1.0',
        'tidegate_autoscaler_decisions_total{reason="up"} 1.0',
        'tidegate_autoscaler_decisions_total{reason="no-signal"} 0.0',
        "tidegate_autoscaler_signal_age_seconds 1.0",
        "tidegate_autoscaler_desired_replicas 3.0",
    ):
        assert line in shown(run)
    await run.tick(reading=Reading(problem="blind"), away=True)
    # Nobody knows how many are ready now; 0 would be a lie.
    assert 'tidegate_replicas{state="ready"} 1.0' in shown(run)
    assert "tidegate_autoscaler_signal_age_seconds NaN" in shown(run)


def sleeping(run: Run) -> Autoscaler:
    """May go to zero, and is there; whoever waits is in `waiting`."""
    parameters = build_policy("hpa", PolicyContext(Bounds(1, 10), slo_seconds=1.0)).parameters
    told = ScaleToZeroParameters(max=10, idle_seconds=60.0, stale_seconds=15.0)
    run.autoscaler.policy = scale_to_zero(run.autoscaler.policy, parameters, told)
    run.autoscaler.bounds = Bounds(0, 10)
    run.room.count = 0
    run.room.reading = Reading(problem="no value: x", without_replica_series=("", ""))
    return run.autoscaler


async def test_the_gateway_is_asked_who_waits_only_while_there_is_no_replica(run: Run) -> None:
    asked = 0

    async def waiting() -> float:
        nonlocal asked
        asked += 1
        return 2.0 if asked == 3 else 0.0

    sleeping(run).read_queue = waiting
    assert [await run.tick() for _ in range(3)] == [0, 0, 1]
    assert run.room.asked == [1]
    await run.tick(reading=ONE)
    assert asked == 3
    events = run.desk.events("decision")
    told = [event["tidegate"]["decision"]["signals"].get("waiting") for event in events]
    assert told == [0.0, 0.0, 2.0, None]
    assert events[2]["message"] == "0 → 1: 2 requests wait at the gateway"
    assert all(replay(event).explanation == event["message"] for event in events)


async def test_that_no_replica_tells_anything_at_zero_is_no_trouble(run: Run) -> None:
    sleeping(run)
    await run.tick()
    assert run.desk.said() == []
    # With one that has been there for long, it is.
    await run.tick(count=1)
    assert "signals: no value: x" in run.desk.said()
