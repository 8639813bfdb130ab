"""A tick that also decides on slots."""

from typing import Any

from tidegate.autoscaler.live.loop import CANNOT_SET_SLOTS, LENDS_CPU
from tidegate.autoscaler.types import Decision, Policy, Signals

from ..room import Run, shown


def lending(*slots: int | None) -> Policy:
    """Three replicas, and so many slots at one tick after the other."""
    told = iter(slots)

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        return Decision(3, "hold", "as told", {}, state, next(told))

    return decide


async def test_slots_are_asked_for_until_the_resizer_has_them(run: Run) -> None:
    run.room.count, run.room.slots = 3, 2
    run.autoscaler.policy = lending(4, 4, 4, 2, None)
    await run.tick(deaf=True)
    await run.tick(deaf=False)
    await run.tick()
    assert (run.room.asked, run.room.slots_asked) == ([3, 3], [4, 4])
    assert "tidegate_autoscaler_desired_slots 4.0" in shown(run)
    await run.tick()
    await run.tick()
    assert (run.room.slots_asked, run.room.slots) == ([4, 4, 2], 2)
    told = [event["tidegate"]["decision"] for event in run.desk.events("decision")]
    assert [one.get("slots") for one in told] == [4, 4, 4, 2, None]
    assert [one["signals"]["slots_asked"] for one in told] == [2, 2, 4, 4, 2]
    assert "tidegate_autoscaler_desired_slots NaN" in shown(run)
    # A person sees the changes, and not that they stay.
    assert run.desk.terminal.getvalue().count("as told") == 3


async def test_number_and_slots_are_asked_for_together(run: Run) -> None:
    run.room.slots = 2
    run.autoscaler.policy = lending(4, 4)
    await run.tick()
    await run.tick()
    assert (run.room.asked, run.room.slots_asked) == ([3], [4])


async def test_a_resizer_that_cannot_set_slots_is_asked_for_the_number_alone(run: Run) -> None:
    run.autoscaler.policy = lending(4, 4, None)
    for _ in range(3):
        await run.tick()
    assert (run.room.asked, run.room.slots_asked) == ([3], [None])
    assert run.desk.said() == [
        f"slots: {CANNOT_SET_SLOTS}",
        "slots: resolved",
    ]


async def test_a_policy_that_reckons_with_slots_asks_for_none_where_cpu_is_lent(run: Run) -> None:
    run.room.slots, run.room.lends = 2, "cpu"
    run.autoscaler.policy, run.autoscaler.requires_real_slots = lending(4, 4, None), True
    for _ in range(3):
        await run.tick()
    assert (run.room.asked, run.room.slots_asked) == ([3], [None])
    assert run.desk.said() == [f"slots: {LENDS_CPU}", "slots: resolved"]


async def test_in_a_dry_run_slots_are_only_written_down(run: Run) -> None:
    run.room.slots, run.autoscaler.dry_run = 2, True
    run.autoscaler.policy = lending(4)
    await run.tick()
    assert run.room.asked == []
    (event,) = run.desk.events("decision")
    assert event["tidegate"]["decision"]["slots"] == 4
