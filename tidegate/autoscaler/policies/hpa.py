"""The Kubernetes HPA v2 policy, on requests in the system per slot.

The formula and its order are those of Kubernetes' replica_calculator.go; the stabilization window and the
scale-up limit are its defaults (horizontal.go). Three differences, each of which only ever keeps replicas:

- A number kept without signals counts as a recommendation, so that recovery never scales down at once.
- The direction is checked in every case, not only while replicas are starting.
- Ratios are compared with an epsilon of 1e-9, so that rounding costs no replica.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from tidegate.autoscaler.sloq.signal_checks import valid_or_none
from tidegate.autoscaler.types import (
    Bounds,
    Decision,
    Policy,
    Signals,
    digits,
    direction,
    format_change,
)

# Kubernetes' default scaleUp behaviour: 100 % or 4 pods every 15 s, whichever is more.
UP_PERIOD_SECONDS: Final = 15.0
UP_FACTOR: Final = 2
UP_STEP: Final = 4
EPSILON: Final = 1e-9
TICK_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class _Recommendation:
    """The number before stabilization, limits and bounds, and why."""

    number: int
    reason: str
    because: str
    usage: float | None = None


@dataclass(frozen=True, slots=True)
class HpaParameters:
    """The options of `hpa`.

    Attributes:
        min: the minimum number of replicas.
        max: the maximum.
        target: target requests in the system per slot; above 0.
        tolerance: no change while the ratio of usage to target is this close to 1.
        down_stabilization_seconds: scale-down follows the largest recommendation of this window.
        stale_seconds: older signals are not used.
        minute_mean: 1: use the mean of the requests in the system over a minute, as of an `avg_over_time` in
            the adapter's query; 0: the last sample.
    """

    min: int
    max: int
    target: float = 0.7
    tolerance: float = 0.1
    down_stabilization_seconds: float = 300.0
    stale_seconds: float = 15.0
    minute_mean: int = 0


def hpa(parameters: HpaParameters) -> Policy:
    """The policy with these parameters.

    Its state: `recommendations` and `changes` (times and numbers), and the number last decided (`asked`).
    """
    recorded_parameters = asdict(parameters)
    bounds = Bounds(parameters.min, parameters.max)
    window_seconds = parameters.down_stabilization_seconds

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        current = signals.desired
        if parameters.minute_mean:
            signals = replace(signals, in_system=signals.in_system_60s)
        advice = _recommend(signals, parameters)

        # At the start, the current number counts as a recommendation made now, as in Kubernetes.
        earlier = state.get("recommendations", [[now, current]])
        window = [[at, n] for at, n in earlier if at > now - window_seconds]
        peak = max([advice.number, *(n for _, n in window)])
        stabilized = advice.number if advice.number > current else min(current, peak)

        changes, limit = scale_up_limit(state.get("changes", []), state.get("asked"), current, now)

        desired = bounds.clamp(min(stabilized, limit))
        # An older recommendation not above a newer one can never be the largest again.
        window = [[at, n] for at, n in window if n > advice.number]
        if desired != current:
            changes.append([now, desired - current])
        notes = _notes(desired, advice.number, (stabilized, peak), limit, parameters)
        return Decision(
            desired=desired,
            reason=_reason(desired, current, advice, parameters.min),
            explanation="; ".join([f"{format_change(current, desired)}: {advice.because}", *notes]),
            inputs={
                "in_system": valid_or_none(signals.in_system),
                "slots_per_replica": signals.slots_per_replica,
                "ready": signals.ready,
                "running": signals.running,
                "age_seconds": valid_or_none(signals.age_seconds),
                "usage": advice.usage,
                "recommendation": advice.number,
                "largest_recommendation": peak,
                "up_limit": limit,
                "parameters": recorded_parameters,
            },
            state={
                "recommendations": [*window, [now, advice.number]],
                "changes": changes,
                "asked": desired,
            },
        )

    return decide


def scale_up_limit(
    made: Sequence[list[float]], asked: int | None, current: int, now: float
) -> tuple[list[list[float]], int]:
    """The changes within the period of the scale-up limit, and the most replicas that it allows.

    `made` has times and changes of the number; `asked` is the number decided last, None before the first
    decision.
    """
    # A decision that was not applied (paused, bounded) is no change.
    made = made if asked in {None, current} else []
    changes = [[at, by] for at, by in made if at > now - UP_PERIOD_SECONDS]
    before = current - sum(int(by) for _, by in changes)
    return changes, max(current, UP_FACTOR * before, before + UP_STEP)


def _recommend(signals: Signals, parameters: HpaParameters) -> _Recommendation:
    """The recommendation of replica_calculator.go, in its order: tolerance, missing pods, direction."""
    current, ready, slots = signals.desired, signals.ready, signals.slots_per_replica
    target, tolerance = parameters.target, parameters.tolerance
    in_system = valid_or_none(signals.in_system)
    blind = _why_blind(signals, parameters.stale_seconds)
    if blind or in_system is None or slots is None:
        return _Recommendation(current, "no-signal", blind)
    if ready <= 0:
        return _Recommendation(
            current, "hold", f"no replica is ready, with {signals.running} starting"
        )

    # The load in replicas at exactly the target usage; usage is the ratio per ready replica.
    load = in_system / (slots * target)
    usage = load / ready
    because = (
        f"{in_system:g} requests in the system over {slots * ready} slots"
        f" is {digits(in_system / (slots * ready))} per slot, target {digits(target)}"
    )

    def hold(reason: str, more: str = "") -> _Recommendation:
        return _Recommendation(current, reason, because + more, usage)

    # Replicas that are not ready have no usage: they count as at target for a scale-down, and as idle for
    # a scale-up.
    starting = max(0, signals.running - ready)
    filled = load + (starting if usage <= 1 else 0)
    refilled = filled / (ready + starting)
    if abs(refilled - 1) <= tolerance + EPSILON:
        more = f", with {starting} starting" if starting else ""
        return hold("tolerance", f"{more}: within {tolerance:.0%}")
    if usage > 1 > refilled:
        return hold("hold", f", but {starting} more are starting, which is enough")

    number = math.ceil(filled - EPSILON)
    if (refilled > 1 and number < current) or (refilled < 1 and number > current):
        return hold("hold", f": {number} would be enough, but that is the opposite direction")
    return _Recommendation(number, direction(current, number), because, usage)


def _why_blind(signals: Signals, stale_seconds: float) -> str:
    """Why the signals cannot be used; empty if they can."""
    age, slots = valid_or_none(signals.age_seconds), signals.slots_per_replica
    if valid_or_none(signals.in_system) is None:
        problem = "the requests in the system are not known"
    elif slots is None or slots < 1:
        problem = "the slots of a replica are not known"
    elif age is None:
        problem = "the age of the signals is not known"
    elif age > stale_seconds:
        problem = f"the signals are {age:.0f} s old, more than {stale_seconds:g} s"
    elif signals.ready <= 0 and signals.running <= 0:
        problem = "no replica is known to be running"
    else:
        return ""
    return f"{problem} ({signals.problem})" if signals.problem else problem


def _reason(desired: int, current: int, advice: _Recommendation, least: int) -> str:
    """The label of the decision counter."""
    if advice.reason == "no-signal":
        return "no-signal"
    if desired != current:
        return direction(current, desired)
    if desired < advice.number:
        return "limited"
    if desired > max(advice.number, least):
        return "stabilized"
    # At the minimum, a recommendation of fewer changes nothing.
    return "hold" if advice.reason == "down" else advice.reason


def _notes(
    desired: int, wanted: int, kept: tuple[int, int], limit: int, parameters: HpaParameters
) -> Iterator[str]:
    """Why the number differs from the one wanted: by the stabilized one, the largest, and the limit."""
    least, (stabilized, peak) = parameters.min, kept
    enough = max(wanted, least)
    if stabilized > enough:
        yield (
            f"{enough} would be enough, but {peak} is the largest recommendation"
            f" of the last {parameters.down_stabilization_seconds:g} s"
        )
    if stabilized > limit:
        yield f"{wanted} wanted, {limit} allowed within {UP_PERIOD_SECONDS:g} s"
    if min(stabilized, limit) > parameters.max:
        yield f"the maximum is {parameters.max}"
    if wanted < least == desired:
        yield f"the minimum is {least}"
