"""How fast to go to a size: up at once, down slowly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.signal_checks import Evidence
from tidegate.autoscaler.sloq.sizing import Size
from tidegate.autoscaler.sloq.state import At, Memory
from tidegate.autoscaler.types import Bounds

HOUR_SECONDS: Final = 3600.0
MINUTE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Move:
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
    wanted: int
    largest: int
    slots_per_replica: float
    window: tuple[At, ...]
    surges: tuple[At, ...]
    downs: tuple[At, ...]


def pace(
    parameters: SloqParameters,
    memory: Memory,
    evidence: Evidence,
    size: Size,
    *,
    held: int,
    now: float,
) -> Move:
    """The next number of replicas: the target if it is more; if it is fewer, in small steps.

    A replica leaves only if that many were not needed for `down_seconds` by what arrived, nor for
    `surge_seconds` by what was expected or by a backlog, which pass; no more than `down_share` of them
    leave in `down_period_seconds`, and none while not all is known, or the signals stand still: they may
    be frozen, which shows only after some ticks.
    """
    per_replica = memory.slots or float(evidence.slots)
    wanted = math.ceil(size.slots / per_replica)

    # At the start the number found counts as a target.
    earlier = memory.targets or ((now, held * per_replica),)
    targets = (*earlier, (now, float(size.stay_slots)))
    window = recent_largest(targets, since=now - parameters.down_seconds)
    surging = (*memory.surges, (now, float(size.slots)))
    surges = recent_largest(surging, since=now - parameters.surge_seconds)
    largest = math.ceil(max(window[0][1], surges[0][1]) / per_replica)

    downs = tuple(one for one in memory.downs if one[0] > now - parameters.down_period_seconds)
    lately = int(sum(count for _, count in downs))
    may_leave = max(1, int(parameters.down_share * (held + lately))) - lately
    lowest = held if evidence.unsure else max(largest, held - max(0, may_leave))

    desired = Bounds(parameters.min, parameters.max).clamp(max(wanted, min(held, lowest)))
    if desired < held:
        downs = (*downs, (now, float(held - desired)))
    return Move(held, desired, wanted, largest, per_replica, window, surges, downs)


def recent_largest(targets: Sequence[At], *, since: float) -> tuple[At, ...]:
    """The targets after `since` that no later one exceeds; the first of them is the largest.

    The last one counts however short the time is.
    """
    kept: list[At] = []
    for at, slots in targets:
        if at <= since and at < targets[-1][0]:
            continue
        while kept and kept[-1][1] <= slots:
            kept.pop()
        kept.append((at, slots))
    return tuple(kept)


def hour_of_peaks(peaks: tuple[At, ...], now: float, slots: float) -> tuple[At, ...]:
    """The largest target of each minute of the last hour, with this one."""
    minute = now // MINUTE_SECONDS * MINUTE_SECONDS
    before = tuple(one for one in peaks if now - HOUR_SECONDS < one[0] < minute)
    return (*before, (minute, max([slots, *(most for at, most in peaks if at == minute)])))
