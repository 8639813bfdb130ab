"""How fast to scale to a size: up at once, down slowly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.signal_checks import CheckedSignals
from tidegate.autoscaler.sloq.sizing import Size
from tidegate.autoscaler.sloq.state import SloqState, TimedValue
from tidegate.autoscaler.types import Bounds

HOUR_SECONDS: Final = 3600.0
MINUTE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class ScalingStep:
    """From the current number of replicas to the next.

    Attributes:
        current: the current number.
        desired: the next one, within bounds.
        needed: the number that the work needs now, regardless of bounds.
        largest: the largest target of the stabilization windows.
        slots_per_replica: used to convert slots to replicas.
        window: the targets for the measured load, in slots, kept for the next ticks.
        surges: those for forecasts and backlogs, kept for a shorter time.
        downs: when replicas were removed recently, and how many.
        largest_seconds: the length of the window that `largest` is from.
    """

    current: int
    desired: int
    needed: int
    largest: int
    slots_per_replica: float
    window: tuple[TimedValue, ...]
    surges: tuple[TimedValue, ...]
    downs: tuple[TimedValue, ...]
    largest_seconds: float


def pace(
    parameters: SloqParameters,
    state: SloqState,
    checked: CheckedSignals,
    size: Size,
    *,
    current: int,
    now: float,
) -> ScalingStep:
    """The next number of replicas: a larger target at once, a smaller one in steps.

    A replica is removed only if it was not needed for `down_seconds` by the measured load nor for
    `surge_seconds` by forecasts or a backlog. At most `down_share` of the replicas are removed in
    `down_period_seconds`, and none while signals are missing or unchanged: they may be frozen, which takes
    some ticks to detect. The windows go on meanwhile: in normal traffic the requests in the system are often
    unchanged by chance.
    """
    per_replica = state.slots or float(checked.slots)
    needed = math.ceil(size.slots / per_replica)

    # At the start, the current number counts as a target.
    earlier = state.targets or ((now, current * per_replica),)
    targets = (*earlier, (now, float(size.stay_slots)))
    window = recent_largest(targets, since=now - parameters.down_seconds)
    surging = (*state.surges, (now, float(size.slots)))
    surges = recent_largest(surging, since=now - parameters.surge_seconds)
    largest = math.ceil(max(window[0][1], surges[0][1]) / per_replica)
    lasting = math.ceil(window[0][1] / per_replica) >= largest
    largest_seconds = parameters.down_seconds if lasting else parameters.surge_seconds

    downs = tuple(one for one in state.downs if one[0] > now - parameters.down_period_seconds)
    removed = int(sum(count for _, count in downs))
    removable = max(1, int(parameters.down_share * (current + removed))) - removed
    keep = checked.keep_replicas or checked.stopped
    floor = current if keep else max(largest, current - max(0, removable))

    desired = Bounds(parameters.min, parameters.max).clamp(max(needed, min(current, floor)))
    if desired < current:
        downs = (*downs, (now, float(current - desired)))
    return ScalingStep(
        *(current, desired, needed, largest, per_replica, window, surges, downs, largest_seconds)
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


def hour_of_peaks(
    peaks: tuple[TimedValue, ...], now: float, slots: float
) -> tuple[TimedValue, ...]:
    """The largest target of each minute of the last hour, including this one."""
    minute = now // MINUTE_SECONDS * MINUTE_SECONDS
    before = tuple(one for one in peaks if now - HOUR_SECONDS < one[0] < minute)
    return (*before, (minute, max([slots, *(most for at, most in peaks if at == minute)])))
