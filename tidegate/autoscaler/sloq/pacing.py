"""How fast to go to a size: up at once, down slowly."""

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
    """From the number held to the next.

    Attributes:
        held: the number held.
        desired: the next, within bounds.
        wanted: as many as the work of now takes, also beyond the bounds.
        largest: the largest target of the last minutes.
        slots_per_replica: that these were reckoned with.
        window: the targets of what arrived, in slots, to remember.
        surges: those of what was expected and of backlogs, to remember for a shorter time.
        downs: when replicas were taken away lately, and how many.
    """

    held: int
    desired: int
    needed: int
    largest: int
    slots_per_replica: float
    window: tuple[TimedValue, ...]
    surges: tuple[TimedValue, ...]
    downs: tuple[TimedValue, ...]


def pace(
    parameters: SloqParameters,
    state: SloqState,
    checked: CheckedSignals,
    size: Size,
    *,
    held: int,
    now: float,
) -> ScalingStep:
    """The next number of replicas: the target if it is more; if it is fewer, in small steps.

    A replica leaves only if that many were not needed for `down_seconds` by what arrived, nor for
    `surge_seconds` by what was expected or by a backlog, which pass; no more than `down_share` of them
    leave in `down_period_seconds`, and none while not all is known, or the signals stand still: they may
    be frozen, which shows only after some ticks.
    """
    per_replica = state.slots or float(checked.slots)
    needed = math.ceil(size.slots / per_replica)

    # At the start the number found counts as a target.
    earlier = state.targets or ((now, held * per_replica),)
    targets = (*earlier, (now, float(size.stay_slots)))
    window = recent_largest(targets, since=now - parameters.down_seconds)
    surging = (*state.surges, (now, float(size.slots)))
    surges = recent_largest(surging, since=now - parameters.surge_seconds)
    largest = math.ceil(max(window[0][1], surges[0][1]) / per_replica)

    downs = tuple(one for one in state.downs if one[0] > now - parameters.down_period_seconds)
    removed = int(sum(count for _, count in downs))
    removable = max(1, int(parameters.down_share * (held + removed))) - removed
    floor = held if checked.keep_replicas else max(largest, held - max(0, removable))

    desired = Bounds(parameters.min, parameters.max).clamp(max(needed, min(held, floor)))
    if desired < held:
        downs = (*downs, (now, float(held - desired)))
    return ScalingStep(held, desired, needed, largest, per_replica, window, surges, downs)


def recent_largest(targets: Sequence[TimedValue], *, since: float) -> tuple[TimedValue, ...]:
    """The targets after `since` that no later one exceeds; the first of them is the largest.

    The last one counts however short the time is.
    """
    kept: list[TimedValue] = []
    for at, slots in targets:
        if at <= since and at < targets[-1][0]:
            continue
        while kept and kept[-1][1] <= slots:
            kept.pop()
        kept.append((at, slots))
    return tuple(kept)


def hour_of_peaks(
    peaks: tuple[TimedValue, ...], now: float, slots: float
) -> tuple[TimedValue, ...]:
    """The largest target of each minute of the last hour, with this one."""
    minute = now // MINUTE_SECONDS * MINUTE_SECONDS
    before = tuple(one for one in peaks if now - HOUR_SECONDS < one[0] < minute)
    return (*before, (minute, max([slots, *(most for at, most in peaks if at == minute)])))
