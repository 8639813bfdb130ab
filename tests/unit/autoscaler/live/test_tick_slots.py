"""A tick that also decides on slots."""

from typing import Any

from support.harnesses.autoscaler_run import AutoscalerRun, metrics_text
from tidegate.autoscaler.live.loop import CANNOT_SET_SLOTS
from tidegate.autoscaler.types import Decision, Policy, Signals


def lending(*slots: int | None) -> Policy:
    """A policy that always decides three replicas, and these slots at consecutive ticks."""
    decisions = iter(slots)

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        return Decision(3, "hold", "as configured", {}, state, next(decisions))

    return decide


async def test_slots_are_requested_until_the_resizer_has_them(run: AutoscalerRun) -> None:
    run.resizer.count, run.resizer.slots = 3, 2
    run.autoscaler.policy = lending(4, 4, 4, 2, None)
    await run.tick(ignores_resize=True)
    await run.tick(ignores_resize=False)
    await run.tick()
    assert (run.resizer.asked, run.resizer.slots_asked) == ([3, 3], [4, 4])
    assert "tidegate_autoscaler_desired_slots 4.0" in metrics_text(run)
    await run.tick()
    await run.tick()
    assert (run.resizer.slots_asked, run.resizer.slots) == ([4, 4, 2], 2)
    assert [one.get("slots") for one in run.decisions()] == [4, 4, 4, 2, None]
    assert [one["signals"]["slots_asked"] for one in run.decisions()] == [2, 2, 4, 4, 2]
    assert "tidegate_autoscaler_desired_slots NaN" in metrics_text(run)
    # A person sees the changes, and not that they stay.
    assert run.recorded_events.terminal.getvalue().count("as configured") == 3


async def test_number_and_slots_are_requested_together(run: AutoscalerRun) -> None:
    run.resizer.slots = 2
    run.autoscaler.policy = lending(4, 4)
    await run.tick()
    await run.tick()
    assert (run.resizer.asked, run.resizer.slots_asked) == ([3], [4])


async def test_a_resizer_that_cannot_set_slots_only_gets_the_number(run: AutoscalerRun) -> None:
    run.autoscaler.policy = lending(4, 4, None)
    for _ in range(3):
        await run.tick()
    assert (run.resizer.asked, run.resizer.slots_asked) == ([3], [None])
    assert run.messages() == [f"slots: {CANNOT_SET_SLOTS}", "slots: resolved"]


async def test_in_a_dry_run_slots_are_only_recorded(run: AutoscalerRun) -> None:
    run.resizer.slots, run.autoscaler.dry_run = 2, True
    run.autoscaler.policy = lending(4)
    await run.tick()
    assert run.resizer.asked == []
    assert [one["slots"] for one in run.decisions()] == [4]
