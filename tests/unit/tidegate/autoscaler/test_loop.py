"""The loop: what a tick does with what it is told, and when ticks come."""

import asyncio
import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from tidegate.autoscaler.hpa import hpa
from tidegate.autoscaler.loop import Autoscaler, next_tick, run_ticks
from tidegate.autoscaler.metrics import Metrics
from tidegate.autoscaler.signals import Reading
from tidegate.autoscaler.types import Bounds
from tidegate.resizer.base import ReplicaStatus, ResizeRefusedError
from tidegate.resizer.client import ResizerUnavailableError

# 1.4 in system is one replica's worth.
ONE = Reading(10.0, 0.1, 1.4, 2, 0.2, 1.0)
THREE = replace(ONE, in_system=4.2)


@dataclass
class Room:
    """A resizer in memory whose replicas are ready at once, and a Prometheus that says `reading`."""

    count: int = 1
    most: int = 10
    away: bool = False
    deaf: bool = False
    reading: Reading = ONE
    asked: list[int] = field(default_factory=list)

    async def read(self) -> Reading:
        return self.reading

    async def status(self) -> ReplicaStatus:
        if self.away:
            raise ResizerUnavailableError("gone")
        return ReplicaStatus(desired=self.count, running=self.count, ready=self.count, replicas=[])

    async def resize(self, desired: int) -> ReplicaStatus:
        self.asked.append(desired)
        if self.deaf:
            raise ResizerUnavailableError("deaf")
        if desired > self.most:
            raise ResizeRefusedError(f"at most {self.most}")
        self.count = desired
        return await self.status()


@dataclass
class Run:
    """An autoscaler in that room."""

    room: Room
    desk: Any
    metrics: Metrics = field(default_factory=Metrics)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.autoscaler = Autoscaler(
            policy_name="hpa",
            policy=hpa(Bounds(1, 10)),
            read=self.room.read,
            resizer=self.room,
            journal=self.desk.journal,
            metrics=self.metrics,
        )

    async def tick(self, **changes: Any) -> int | None:
        """The number decided five seconds later, after these changes of the room."""
        for name, value in changes.items():
            setattr(self.room, name, value)
        self.now += 5.0
        decision = await self.autoscaler.tick(self.now)
        return decision.desired if decision else None


@pytest.fixture
def run(desk: Any) -> Run:
    return Run(Room(), desk)


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
        "1 → 3: 4.2 requests in system over 2 slots is 2.10 a slot, target 0.70"
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
    assert "something else set 1 replicas; 3 were asked for" in run.desk.said()


async def test_a_number_that_was_not_taken_is_asked_for_again_and_said_once(run: Run) -> None:
    await run.tick(reading=THREE, deaf=True)
    await run.tick()
    await run.tick(deaf=False)
    await run.tick()
    assert run.room.asked == [3, 3, 3]
    assert run.desk.said() == ["resize: deaf", "resize: all is well again"]


async def test_an_answer_that_got_lost_is_no_trouble_once_it_shows_effect(run: Run) -> None:
    await run.tick(reading=THREE, deaf=True)
    await run.tick(count=3)
    assert run.desk.said() == ["resize: deaf", "resize: all is well again"]


async def test_a_refused_number_is_given_up_for_the_one_that_is(run: Run) -> None:
    run.room.most = 2
    assert await run.tick(reading=THREE) == 3
    assert await run.tick(reading=replace(ONE, in_system=1.4)) == 1
    assert run.room.count == 1
    assert run.desk.said() == ["bounds: the resizer refused: at most 2"]


async def test_a_resizer_that_is_away_is_held_for_and_said_once(run: Run) -> None:
    await run.tick(reading=THREE)
    assert [await run.tick(away=True), await run.tick()] == [3, 3]
    assert await run.tick(away=False) == 3
    assert run.desk.said() == ["resizer: gone", "resizer: all is well again"]
    reasons = [event["tidegate"]["decision"]["reason"] for event in run.desk.events("decision")]
    assert reasons == ["up", "no-signal", "no-signal", "tolerance"]


async def test_before_the_resizer_was_ever_seen_there_is_nothing_to_decide(run: Run) -> None:
    assert await run.tick(away=True) is None
    assert run.desk.events("decision") == []
    assert await run.tick(away=False) == 1


async def test_trouble_with_signals_is_said_when_it_comes_changes_and_goes(run: Run) -> None:
    for problem in ("", "a", "a", "b", "b", "", ""):
        await run.tick(reading=replace(ONE, problem=problem))
    assert run.desk.said() == ["signals: a", "signals: b", "signals: all is well again"]
    levels = [event["log"]["level"] for event in run.desk.events("app")]
    assert levels == ["warn", "warn", "info"]
    assert "warn autoscaler: signals: a\n" in run.desk.terminal.getvalue()


async def test_an_outage_that_spreads_from_series_to_series_is_said_once(run: Run) -> None:
    for problem in ("no value: a", "no value: a, b", "no value: b"):
        await run.tick(reading=replace(ONE, problem=problem, cause="no value"))
    assert run.desk.said() == ["signals: no value: a"]


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
    async with asyncio.timeout(5):
        assert await run.tick() == 1


async def test_the_metrics_show_the_last_decision(run: Run) -> None:
    await run.tick(reading=THREE)
    shown = generate_latest(run.metrics.registry).decode()
    for line in (
        'tidegate_replicas{state="desired"} 3.0',
        'tidegate_replicas{state="running"} 1.0',
        'tidegate_replicas{state="ready"} 1.0',
        'tidegate_autoscaler_decisions_total{reason="up"} 1.0',
        'tidegate_autoscaler_decisions_total{reason="no-signal"} 0.0',
        "tidegate_autoscaler_signal_age_seconds 1.0",
        "tidegate_autoscaler_desired_replicas 3.0",
    ):
        assert line in shown
    await run.tick(reading=Reading(problem="blind"), away=True)
    # Nobody knows how many are ready now; 0 would be a lie.
    assert 'tidegate_replicas{state="ready"} 1.0' in generate_latest(run.metrics.registry).decode()
    assert (
        "tidegate_autoscaler_signal_age_seconds NaN"
        in generate_latest(run.metrics.registry).decode()
    )


@pytest.mark.parametrize(
    ("ticks", "elapsed", "following"),
    [
        (0, 0.3, 1),  # the usual: the next multiple
        (7, 35.2, 8),
        (7, 34.99, 8),  # woken a little early: not the same tick again
        (0, 5.0, 1),
        (0, 5.1, 2),  # too slow by a little: the tick at 5 s is lost, the next is at 10 s
        (0, 63.0, 13),  # asleep for a minute: no burst to catch up
    ],
)
def test_the_next_tick_is_at_a_whole_multiple(ticks: int, elapsed: float, following: int) -> None:
    assert next_tick(ticks, elapsed, 5.0) == following


@given(st.integers(0, 10_000), st.floats(0, 1e6), st.floats(0.01, 600))
def test_ticks_never_repeat_nor_lie_more_than_one_ahead(
    ticks: int, elapsed: float, seconds: float
) -> None:
    following = next_tick(ticks, elapsed, seconds)
    assert following > ticks
    assert following == ticks + 1 or following - 1 < elapsed / seconds <= math.ceil(
        elapsed / seconds
    )


async def test_it_ticks_on_until_cancelled(run: Run) -> None:
    third, reads = asyncio.Event(), []

    async def read() -> Reading:
        reads.append(asyncio.get_running_loop().time())
        if len(reads) == 3:
            third.set()
        return ONE

    run.autoscaler.read = read
    ticking = asyncio.create_task(run_ticks(run.autoscaler, 0.05))
    async with asyncio.timeout(5):
        await third.wait()
    # The first at once, the third two ticks later and never sooner.
    assert reads[2] - reads[0] >= 0.09
    ticking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ticking
