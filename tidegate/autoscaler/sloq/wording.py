"""A decision of SLOQ in words: one for counters, and a sentence for a person."""

from __future__ import annotations

from tidegate.autoscaler.sloq.pacing import Move
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.signal_checks import Evidence
from tidegate.autoscaler.sloq.sizing import Size
from tidegate.autoscaler.sloq.state import Memory
from tidegate.autoscaler.types import change_words


def reason(move: Move) -> str:
    """The one word: `up`, `down`, `limited` by the bounds, `stabilized` above the target, `hold`."""
    if move.desired != move.held:
        return "up" if move.desired > move.held else "down"
    if move.wanted > move.desired:
        return "limited"
    return "stabilized" if move.wanted < move.desired else "hold"


def explain(
    parameters: SloqParameters, memory: Memory, evidence: Evidence, size: Size, move: Move
) -> str:
    """The sentence: the change, the work, what that takes, and what else there was to consider."""
    work = size.rate * size.service
    says = f"{size.rate:.3g} requests/s × {size.service:.2g} s = {work:.1f} slots of work"  # noqa: RUF001
    parts = [f"{change_words(move.held, move.desired)}: {says}"]
    if size.meetable:
        replicas = "replica keeps" if move.wanted == 1 else "replicas keep"
        parts.append(
            f"{move.wanted} {replicas} P(wait > {size.patience:.2g} s) ≤ {100 * size.late:.2g} %"
        )
    parts += size.notes
    if memory.slots:
        parts.append(
            f"a replica was seen to have {memory.slots:g} slots, not {evidence.slots} as it says"
        )
    return "; ".join([*parts, *_limits(parameters, evidence, move)])


def _limits(parameters: SloqParameters, evidence: Evidence, move: Move) -> list[str]:
    """Why it is another number than the work takes."""
    if move.wanted > move.desired:
        return [f"the maximum is {parameters.max}"]
    if move.wanted == move.desired:
        return []
    if evidence.unsure:
        return [evidence.unsure]
    if move.largest >= move.desired and move.desired > parameters.min:
        return [f"{move.largest} is the largest target of {parameters.down_seconds:g} s"]
    if move.desired == parameters.min:
        return [f"the minimum is {parameters.min}"]
    share, period = parameters.down_share, parameters.down_period_seconds
    return [f"no more than {share:.0%} leave in {period:g} s"]
