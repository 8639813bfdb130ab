"""SLOQ learns the actual slots of a replica."""

from dataclasses import replace

import pytest

from support.harnesses.sloq_loop import PARAMETERS, SloqLoop


@pytest.mark.parametrize(
    ("reported_slots", "busy", "queued", "slots"),
    [
        (8, 16.0, 20.0, 4),  # full with 4 busy each, although 8 are reported
        (4, 16.0, 20.0, 4),  # as reported
        (2, 13.0, 0.0, 4),  # 13 of 8 are busy: at least ⌈13/4⌉
        (4, 16.0, 2.0, 4),  # too few wait to say that all is full
        (8, 0.0, 20.0, 1),  # stuck, but there is no replica without slots
    ],
)
def test_the_actual_slots_are_learned(
    reported_slots: int, busy: float, queued: float, slots: int
) -> None:
    loop = SloqLoop(replace(PARAMETERS, min=4, max=4))
    loop.ticks(9, slots_per_replica=reported_slots, busy=8.0)
    seen = loop.ticks(6, slots_per_replica=reported_slots, busy=busy, queued=queued)[-1]
    assert seen.inputs["slots_per_replica"] == slots
    assert ("as measured, not" in seen.explanation) == (slots != reported_slots)


def test_more_slots_are_assumed_until_requests_queue() -> None:
    loop = SloqLoop(replace(PARAMETERS, min=4, max=4))
    loop.ticks(9, slots_per_replica=2, busy=8.0)
    found = loop.ticks(2, slots_per_replica=2, busy=10.0)[-1].inputs["slots_per_replica"]
    assert found == 3
    tried = loop.ticks(40, slots_per_replica=2, busy=10.0)[-1].inputs["slots_per_replica"]
    assert tried == 4
    full = loop.ticks(3, slots_per_replica=2, busy=12.0, queued=9.0)[-1].inputs
    assert full["slots_per_replica"] == 3
    after = loop.ticks(40, slots_per_replica=2, busy=10.0)[-1].inputs["slots_per_replica"]
    assert after == 3


def test_a_replica_with_more_requests_than_slots_raises_the_slots_at_once() -> None:
    loop = SloqLoop(replace(PARAMETERS, min=4, max=4))
    loop.ticks(20, slots_per_replica=2, busy=5.0, busiest=2.0)
    # Whether the fleet stands still or not.
    found = loop.tick(slots_per_replica=2, busy=5.0, busiest=3.0, running=5)
    assert found.inputs["slots_per_replica"] == 3
    assert "a replica has 3 slots as measured, not 2 as reported" in found.explanation


def test_a_replica_with_free_slots_changes_nothing() -> None:
    loop = SloqLoop(replace(PARAMETERS, min=4, max=4))
    assert loop.ticks(40, busy=5.0, busiest=2.0)[-1].inputs["slots_per_replica"] == 4


def test_busy_slots_from_before_a_change_of_slots_are_ignored() -> None:
    loop = SloqLoop(replace(PARAMETERS, min=4, max=4))
    loop.ticks(30, busy=10.0, busiest=4.0)
    # Two slots from now on; the busiest of the last minute still had four for 75 s.
    after = [*loop.ticks(15, slots_per_replica=2, busiest=4.0, busy=6.0)]
    after += loop.ticks(30, slots_per_replica=2, busiest=2.0, busy=6.0)
    assert {one.inputs["slots_per_replica"] for one in after} == {2}


def test_a_waiting_request_postpones_the_next_probe_for_slots() -> None:
    loop = SloqLoop(replace(PARAMETERS, min=4, max=4))
    loop.ticks(20, slots_per_replica=2, busy=5.0, busiest=3.0)
    for _ in range(20):
        loop.ticks(4, slots_per_replica=2, busy=9.0, busiest=3.0, queued=0.0)
        waited = loop.tick(slots_per_replica=2, busy=9.0, busiest=3.0, queued=1.0)
    assert waited.inputs["slots_per_replica"] == 3
    tried = loop.ticks(20, slots_per_replica=2, busy=9.0, busiest=3.0)[-1]
    assert tried.inputs["slots_per_replica"] == 4


def test_a_changed_number_of_reported_slots_resets_the_learned_one() -> None:
    loop = SloqLoop(replace(PARAMETERS, min=4, max=4))
    loop.ticks(12, slots_per_replica=8, busy=16.0, queued=20.0)
    assert loop.tick(slots_per_replica=6).inputs["slots_per_replica"] == 6
