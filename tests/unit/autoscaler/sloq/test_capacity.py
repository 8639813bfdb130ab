"""SLOQ believes the rate at which requests leave, while others queue, more than its model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.harnesses.sloq_loop import PARAMETERS, SloqLoop
from tidegate.autoscaler.types import Decision, digits


def queueing(loop: SloqLoop, completed: float, ticks: int = 6, **changed: Any) -> Decision:
    """The last decision while requests queue and this many a second are completed."""
    full = {"queued": 84.0, "in_system": 100.0, "completed_rate": completed}
    # The other slots are idle, by Little's law: time is spent outside of them, or there are fewer.
    full |= {"busy": 0.2 * completed, **changed}
    return loop.ticks(ticks, **full)[-1]


@pytest.mark.parametrize(
    ("reported_slots", "completed", "occupancy", "words"),
    [
        # 16 slots of 0.2 s complete 80 requests a second.
        (4, 80.0, 1.0, ""),
        (4, 20.0, 4.0, "each request keeps a slot 4 times as long as it is processed in it"),
        (8, 80.0, 2.0, "each request keeps a slot 2 times as long as it is processed in it"),
        # A time that has just become shorter is no sign of more slots.
        (4, 160.0, 1.0, ""),
    ],
)
def test_the_rate_at_which_requests_leave_is_the_capacity(
    reported_slots: int, completed: float, occupancy: float, words: str
) -> None:
    loop = SloqLoop(replace(PARAMETERS, min=4, max=4), slots_per_replica=reported_slots)
    loop.ticks(9)
    seen = queueing(loop, completed)
    assert seen.inputs["occupancy"] == pytest.approx(occupancy, rel=0.05)
    assert seen.inputs["service_seconds"] == pytest.approx(0.2 * occupancy, rel=0.05)
    assert words in seen.explanation


@pytest.mark.parametrize(
    "changed", [{"queued": 2.0}, {"completed_rate": None}, {"running": 5}], ids=str
)
def test_without_a_queue_that_stands_at_replicas_that_are_all_ready_nothing_is_learned(
    changed: dict[str, Any],
) -> None:
    loop = SloqLoop(replace(PARAMETERS, min=4, max=4))
    loop.ticks(9)
    assert queueing(loop, 20.0, **changed).inputs["occupancy"] == 1.0


def test_more_requests_in_one_replica_than_it_reports_slots_need_no_queue() -> None:
    loop = SloqLoop(slots_per_replica=2)
    seen = loop.tick(busiest=4.0)
    assert seen.inputs["occupancy"] == 0.5
    assert "a replica has 4 slots as measured, not 2 as reported" in seen.explanation
    # And it stays so, as it was seen.
    assert loop.ticks(30)[-1].inputs["occupancy"] == 0.5
    assert loop.tick(busiest=2.0).inputs["occupancy"] == 0.5


def test_a_longer_occupancy_is_forgotten_within_a_day() -> None:
    loop = SloqLoop(replace(PARAMETERS, min=4, max=4))
    loop.ticks(9)
    queueing(loop, 20.0)
    for _ in range(12 * 60):  # a tick a minute
        loop.now += 55.0
        last = loop.tick()
    # 4^(1/e) after twelve hours.
    assert last.inputs["occupancy"] == pytest.approx(1.66, abs=0.05)


def test_slots_that_hang_are_missing_for_minutes_not_for_a_day() -> None:
    loop = SloqLoop(replace(PARAMETERS, min=4, max=4))
    loop.ticks(9)
    # Half of the 16 hang.
    half = queueing(loop, 40.0, busy=16.0)
    assert half.inputs["service_seconds"] == pytest.approx(0.4, rel=0.05)
    assert half.inputs["occupancy"] == 1
    assert (
        f"requests keep a slot {digits(half.inputs['slowness'])} times as long as the mean says"
        in half.explanation
    )
    freed = loop.ticks(60)[-1]
    assert freed.inputs["service_seconds"] == pytest.approx(0.2, rel=0.1)


def test_no_replica_is_added_where_more_have_completed_no_more() -> None:
    loop = SloqLoop(replace(PARAMETERS, max=400), desired=3, ready=3, running=3)
    loop.ticks(9)
    more = queueing(loop, 20.0, ticks=12).desired
    assert more > 3 * 1.5
    held = queueing(loop, 20.0, ticks=12, arrival_rate=400.0)
    assert (held.desired, held.reason, held.inputs["machine_full"]) == (more, "limited", True)
    assert (
        "complete no more requests than fewer did, so none is added: the machine"
        in held.explanation
    )
    # Once the machine completes more, they do.
    assert not queueing(loop, 40.0, arrival_rate=400.0).inputs["machine_full"]


def test_replicas_that_complete_more_are_added_to() -> None:
    loop = SloqLoop(replace(PARAMETERS, max=20), desired=3, ready=3, running=3)
    loop.ticks(9)
    more = queueing(loop, 20.0, ticks=12).desired
    assert not queueing(loop, 20.0 * more / 3, arrival_rate=400.0).inputs["machine_full"]


def test_longer_waits_than_the_model_says_add_replicas_until_requests_hardly_wait() -> None:
    loop = SloqLoop()
    loop.ticks(20)
    assert loop.tick().inputs["strain"] == 1
    worst = [loop.tick(latency_seconds=0.9 + number / 1000) for number in range(60)]
    assert worst[-1].inputs["strain"] > 2
    assert worst[-1].desired > worst[0].desired
    assert "times as long as the model says" in worst[-1].explanation
    # Not while replicas start.
    starting = [loop.tick(latency_seconds=0.9 + n / 1000, ready=4, running=9) for n in range(40)]
    assert starting[-1].inputs["strain"] == worst[-1].inputs["strain"]
    calm = [loop.tick(latency_seconds=0.48 + number % 7 / 1000) for number in range(800)]
    assert calm[-1].inputs["strain"] == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"ready": 2, "running": 4},  # not all are ready
        {"completed_rate": 0.1},  # p95 of six requests
        {"service_seconds_p95": 0.89},  # hardly any of it is a wait
    ],
    ids=str,
)
def test_latency_that_shows_no_wait_adds_nothing(changed: dict[str, Any]) -> None:
    loop = SloqLoop()
    for number in range(40):
        last = loop.tick(latency_seconds=0.9 + number / 1000, **changed)
    assert last.inputs["strain"] == 1
