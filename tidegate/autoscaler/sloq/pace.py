"""How fast to scale to a size: up at once, down to the largest size of the last minutes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.signal_checks import CheckedSignals
from tidegate.autoscaler.sloq.size import Size
from tidegate.autoscaler.sloq.state import SloqState, TimedValue
from tidegate.autoscaler.types import Bounds


@dataclass(frozen=True, slots=True)
class ScalingStep:
    """From the current number of replicas to the next.

    Attributes:
        current: the current number.
        desired: the next one, within bounds.
        needed: the number that the work needs now, regardless of bounds.
        largest: the largest target of both windows.
        largest_at: when that was, in seconds.
        largest_seconds: for how long it counts.
        lasting: whether it is one for the measured load, with the margin.
        targets: the targets for the measured load, in slots, kept for the next ticks.
        surges: those with the backlog, kept for half as long, or until what starts for it is ready.
        full: whether none is added since the machine is full.
    """

    current: int
    desired: int
    needed: int
    largest: int
    largest_at: float
    largest_seconds: float
    lasting: bool
    targets: tuple[TimedValue, ...]
    surges: tuple[TimedValue, ...]
    full: bool


def pace(
    parameters: SloqParameters,
    state: SloqState,
    checked: CheckedSignals,
    size: Size,
    horizon_seconds: float,
    *,
    current: int,
    now: float,
    full: bool,
) -> ScalingStep:
    """The next number of replicas: a larger target at once, a smaller one when the window has passed.

    None is removed while signals are missing or unchanged: they may be frozen, which takes some ticks to
    detect. The window goes on meanwhile: in normal traffic the requests in the system are often unchanged by
    chance. None is added where more replicas have completed no more requests than fewer.
    """
    needed = math.ceil(size.slots / checked.slots)
    # At the start, the current number counts as a target.
    earlier = state.targets or ((now, float(current * checked.slots)),)
    targets = recent_largest(
        (*earlier, (now, float(size.stay_slots))), since=now - parameters.down_seconds
    )
    # A backlog is temporary; but what starts for it must not go before it is ready.
    lasts = max(parameters.down_seconds / 2, horizon_seconds if state.starting else 0.0)
    surges = recent_largest((*state.surges, (now, float(size.slots))), since=now - lasts)
    lasting = targets[0][1] >= surges[0][1]
    largest_at, slots = targets[0] if lasting else surges[0]
    largest = math.ceil(slots / checked.slots)
    largest_seconds = parameters.down_seconds if lasting else lasts
    floor = current if checked.keep_replicas else min(current, largest)
    wanted = min(needed, current) if full else needed
    desired = Bounds(parameters.min, parameters.max).clamp(max(wanted, floor))
    return ScalingStep(
        *(current, desired, needed, largest, largest_at, largest_seconds, lasting, targets, surges),
        full=full and needed > current,
    )


def recent_largest(targets: Sequence[TimedValue], *, since: float) -> tuple[TimedValue, ...]:
    """The targets after `since` that no later one exceeds; the first of them is the largest.

    The last one always counts.
    """
    peaks_after: list[TimedValue] = []
    for at, slots in targets:
        if at <= since and at < targets[-1][0]:
            continue
        while peaks_after and peaks_after[-1][1] <= slots:
            peaks_after.pop()
        peaks_after.append((at, slots))
    return tuple(peaks_after)
