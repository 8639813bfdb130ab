"""Vertical scaling: more slots in the replicas that there are, for as long as their machine has room.

A slot more is there at once, where a replica takes its time to start. Two policies use that:

- `vertical` keeps the number of replicas and sizes their slots: SLOQ, to which each slot is a replica.
- `surge` is SLOQ; but while replicas start that it asked for, those that are ready do their work with
  more slots, up to so many times as many. Vertical first, then horizontal.

Both take the time in a slot to stay what it is, which holds for an accelerator that is not full, or for
requests that wait for something else. Live they need a resizer that can set slots.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.types import Decision, Policy, Signals


@dataclass(frozen=True, slots=True)
class VerticalParameters(SloqParameters):
    """What the policies are told: all that SLOQ is, and more.

    Attributes:
        most_factor: a replica has at most so many times the slots that it has by itself.
        base_slots: how many those are; None means those that it is first seen with.
        most_slots: as many as it may ever have; None means that the factor alone says.
    """

    most_factor: float = 2.0
    base_slots: int | None = None
    most_slots: int | None = None

    def most(self, base: int) -> int:
        """The most slots of a replica that has so many by itself."""
        most = max(1, math.floor(base * self.most_factor))
        return most if self.most_slots is None else min(most, self.most_slots)


def vertical(parameters: VerticalParameters) -> Policy:
    """The policy that only changes slots.

    Its state: `base`, the slots of a replica at the start; `slots`, those decided last; `inner`, SLOQ's.
    """

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        held, per_replica = signals.desired, signals.slots_per_replica
        base = parameters.base_slots or state.get("base") or per_replica
        if not base or held < 1:
            return _unknown(parameters, state, signals)
        # What was asked for last is in force, while the metrics are seconds old.
        own = signals.slots_asked or per_replica or state.get("slots") or base
        bounds = {"min": held, "max": held * parameters.most(base)}
        decision = sloq(replace(parameters, **bounds))(
            state.get("inner", {}),
            replace(
                signals,
                slots_per_replica=None if per_replica is None else 1,
                busiest=None,
                ready=signals.ready * own,
                running=signals.running * own,
                desired=held * own,
            ),
            now,
        )
        number = max(parameters.min, min(parameters.max, held))
        slots = math.ceil(decision.desired / held)
        if slots == own and decision.desired < held * own:
            # Some of a replica's slots would do; one a replica goes if that many were not needed lately.
            slots = max(1, own - 1, math.ceil(decision.inputs["largest_target"] / held))
        return replace(
            decision,
            desired=number,
            slots=slots,
            explanation=f"{number} replicas of {own} → {slots} slots: {decision.explanation}",
            inputs={**decision.inputs, "parameters": asdict(parameters)},
            state={"base": base, "slots": slots, "inner": decision.state},
        )

    return decide


def surge(parameters: VerticalParameters) -> Policy:
    """The policy that bridges with slots until replicas are ready.

    Its state: `base`, the slots of a replica at the start; `wanted`, the replicas decided last; `inner`,
    SLOQ's.
    """
    inner = sloq(parameters)

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        per_replica = signals.slots_per_replica
        base = parameters.base_slots or state.get("base") or per_replica
        if not base:
            return _unknown(parameters, state, signals)
        before = signals.slots_asked or per_replica
        seen = signals
        if per_replica is not None and {per_replica, before} != {base}:
            # Slots are lent: what is busy says nothing about how many a replica has of its own.
            seen = replace(signals, slots_per_replica=base, busy=None, queued=None, busiest=None)
        decision = inner(state.get("inner", {}), seen, now)
        slots, lent_text = None, ""
        if decision.reason != "no-signal":
            replicas = _to_come(decision.desired, signals.desired, state.get("wanted"))
            slots = base
            if signals.ready > 0:
                needed = math.ceil(replicas * base / signals.ready)
                slots = max(base, min(parameters.most(base), needed))
            if slots > base:
                lent_text = f"; {slots} slots a replica until they are ready"
            elif before is not None and before > base:
                lent_text = f"; {base} slots a replica again"
        return replace(
            decision,
            slots=slots,
            explanation=f"{decision.explanation}{lent_text}",
            state={"base": base, "wanted": decision.desired, "inner": decision.state},
        )

    return decide


def _to_come(desired: int, asked: int, wanted: int | None) -> int:
    """The replicas that there will be, so that slots are lent for no others.

    If fewer were asked for than was last decided, bounds hold the number back (a schedule, a person).
    """
    return desired if wanted is None or asked >= wanted else min(desired, asked)


def _unknown(parameters: VerticalParameters, state: dict[str, Any], signals: Signals) -> Decision:
    held = signals.desired
    return Decision(
        desired=max(parameters.min, min(parameters.max, held)),
        reason="no-signal",
        explanation=f"{held} held: the slots of a replica are not known",
        inputs={"parameters": asdict(parameters)},
        state=state,
    )
