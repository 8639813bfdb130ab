"""The Kubernetes HPA v2 policy, on requests in system per slot.

The formula and its order of reading are those of Kubernetes' replica_calculator.go; the
stabilization window and the limit of a rise are its defaults (horizontal.go). Three things differ,
and each only ever keeps replicas:

- A number held without signals counts as a recommendation, so that recovery never shrinks at once.
- The direction is guarded in every case, not only while replicas are starting.
- Ratios are compared with a billionth to spare, so that 0.1 in binary costs no replica.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, format_change

# Kubernetes' default scaleUp behaviour: 100 % or 4 pods each 15 s, whichever is more.
UP_PERIOD_SECONDS: Final = 15.0
UP_FACTOR: Final = 2
UP_STEP: Final = 4
# Far above any bound, and still exact as a float.
MAX_REPLICAS: Final = 1e9
EPSILON: Final = 1e-9


@dataclass(frozen=True, slots=True)
class _Recommendation:
    """A number before stabilization, limits and bounds, and why."""

    number: int
    reason: str
    because: str
    usage: float | None = None


def hpa(
    bounds: Bounds,
    *,
    target: float = 0.7,
    tolerance: float = 0.1,
    down_stabilization_seconds: float = 300.0,
    stale_seconds: float = 15.0,
) -> Policy:
    """The HPA v2 policy.

    Args:
        bounds: the number of replicas never leaves them.
        target: wanted requests in system per slot; above 0.
        tolerance: no change while the ratio of usage to target is this close to 1.
        down_stabilization_seconds: down follows the largest recommendation of this long.
        stale_seconds: signals older than this are not believed.
    """
    parameters = {
        "min": bounds.min,
        "max": bounds.max,
        "target": target,
        "tolerance": tolerance,
        "down_stabilization_seconds": down_stabilization_seconds,
        "stale_seconds": stale_seconds,
    }

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        held = signals.desired
        advice = _recommend(signals, target, tolerance, stale_seconds)

        # At the start, the number found counts as a recommendation made now (as in Kubernetes).
        earlier = state.get("recommendations", [[now, held]])
        window = [[at, n] for at, n in earlier if at > now - down_stabilization_seconds]
        peak = max([advice.number, *(n for _, n in window)])
        stabilized = advice.number if advice.number > held else min(held, peak)

        # A number that was asked for and did not come about (paused, bounded) is no change.
        changes = [[at, by] for at, by in state.get("changes", []) if at > now - UP_PERIOD_SECONDS]
        if state.get("asked", held) != held:
            changes = []
        before = held - sum(by for _, by in changes)
        limit = max(held, UP_FACTOR * before, before + UP_STEP)

        desired = bounds.clamp(min(stabilized, limit))
        # An older recommendation that is not above a newer one can never again be the largest.
        window = [[at, n] for at, n in window if n > advice.number]
        if desired != held:
            changes.append([now, desired - held])
        outcome = _Outcome(
            desired, held, advice, stabilized, limit, bounds, down_stabilization_seconds
        )
        return Decision(
            desired=desired,
            reason=outcome.reason(),
            explanation=outcome.explanation(),
            inputs={
                "in_system": _usable(signals.in_system),
                "slots_per_replica": signals.slots_per_replica,
                "ready": signals.ready,
                "running": signals.running,
                "age_seconds": _usable(signals.age_seconds),
                "usage": advice.usage,
                "recommendation": advice.number,
                "largest_recommendation": peak,
                "up_limit": limit,
                "parameters": parameters,
            },
            state={
                "recommendations": [*window, [now, advice.number]],
                "changes": changes,
                "asked": desired,
            },
        )

    return decide


def _recommend(
    signals: Signals, target: float, tolerance: float, stale_seconds: float
) -> _Recommendation:
    """What replica_calculator.go returns, in its order: tolerance, missing, never reverse."""
    held, ready, slots = signals.desired, signals.ready, signals.slots_per_replica
    in_system = _usable(signals.in_system)
    blind = _why_blind(signals, stale_seconds)
    if blind or in_system is None or slots is None:
        return _Recommendation(held, "no-signal", blind)
    if ready <= 0:
        return _Recommendation(held, "hold", f"no replica is ready, {signals.running} are starting")

    # The load, in replicas that are used exactly as targeted; usage is a ready replica's share.
    load = min(in_system / (slots * target), MAX_REPLICAS)
    usage = load / ready
    because = (
        f"{in_system:g} requests in system over {slots * ready} slots"
        f" is {in_system / (slots * ready):.2f} a slot, target {target:.2f}"
    )

    def hold(reason: str, more: str = "") -> _Recommendation:
        return _Recommendation(held, reason, because + more, usage)

    # Replicas that are not ready have no usage of their own: they count as used as targeted when
    # the others say down, and as idle when the others say up.
    starting = max(0, signals.running - ready)
    filled = load + (starting if usage <= 1 else 0)
    refilled = filled / (ready + starting)
    if abs(refilled - 1) <= tolerance + EPSILON:
        more = f", with {starting} starting" if starting else ""
        return hold("tolerance", f"{more}: within {tolerance:.0%}")
    if usage > 1 > refilled:
        return hold("hold", f", but {starting} are starting: enough with them")

    number = math.ceil(filled - EPSILON)
    if (refilled > 1 and number < held) or (refilled < 1 and number > held):
        return hold("hold", f": {number} would do, but that is the other direction")
    direction = "up" if number > held else "down" if number < held else "hold"
    return _Recommendation(number, direction, because, usage)


def _why_blind(signals: Signals, stale_seconds: float) -> str:
    """Why the signals are not to be believed; empty if they are."""
    age, slots = _usable(signals.age_seconds), signals.slots_per_replica
    if _usable(signals.in_system) is None:
        said = "the requests in system are not known"
    elif slots is None or slots < 1:
        said = "the slots of a replica are not known"
    elif age is None:
        said = "the age of the signals is not known"
    elif age > stale_seconds:
        said = f"the signals are {age:.0f} s old, more than {stale_seconds:g} s"
    elif signals.ready <= 0 and signals.running <= 0:
        said = "no replica is known to run"
    else:
        return ""
    return f"{said} ({signals.problem})" if signals.problem else said


def _usable(value: float | None) -> float | None:
    """The value if it is a number that can be measured: finite and not negative."""
    return value if value is not None and math.isfinite(value) and value >= 0 else None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A decided number beside all that led to it, for the words."""

    desired: int
    held: int
    advice: _Recommendation
    stabilized: int
    limit: int
    bounds: Bounds
    down_stabilization_seconds: float

    def reason(self) -> str:
        """The one word for counters."""
        if self.advice.reason == "no-signal":
            return "no-signal"
        if self.desired != self.held:
            return "up" if self.desired > self.held else "down"
        if self.desired < self.advice.number:
            return "limited"
        if self.desired > self.bounds.clamp(self.advice.number):
            return "stabilized"
        # At the minimum fewer are wanted, and nothing is to be done.
        return "hold" if self.advice.reason == "down" else self.advice.reason

    def explanation(self) -> str:
        """The sentence for a person."""
        begin = format_change(self.held, self.desired)
        return "; ".join([f"{begin}: {self.advice.because}", *self._notes()])

    def _notes(self) -> list[str]:
        wanted, notes = self.advice.number, []
        enough = max(wanted, self.bounds.min)
        if self.stabilized > enough:
            notes.append(
                f"{enough} would do, but {self.stabilized} is the largest recommendation"
                f" of {self.down_stabilization_seconds:g} s"
            )
        if self.stabilized > self.limit:
            notes.append(f"{wanted} wanted, {self.limit} allowed within {UP_PERIOD_SECONDS:g} s")
        if min(self.stabilized, self.limit) > self.bounds.max:
            notes.append(f"the maximum is {self.bounds.max}")
        if wanted < self.bounds.min == self.desired:
            notes.append(f"the minimum is {self.bounds.min}")
        return notes
