"""Vertical scaling: more slots in the ready replicas while others start.

A new slot is available at once, while a replica takes time to start. `surge` is SLOQ; while the replicas it
requested start, the ready ones are lent more slots, up to a maximum factor. It assumes that the time in a
slot stays the same, which holds for an accelerator with spare capacity, or for requests that wait for
something else. Live it needs a resizer that can set slots.

No policy changes the slots of a fixed number of replicas: with as many slots as it might set at all times,
fewer requests were late (spike: 25 % instead of 28 %), and a slot that is not used costs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.types import Decision, Policy, Signals


@dataclass(frozen=True, slots=True)
class SurgeParameters(SloqParameters):
    """The parameters of SLOQ, and the limits of slots.

    Attributes:
        most_factor: the maximum slots of a replica, as a multiple of its base slots.
        base_slots: the slots of a replica without lent ones; None: as first measured.
        most_slots: the maximum slots of a replica; None: only the factor limits them.
    """

    most_factor: float = 2.0
    base_slots: int | None = None
    most_slots: int | None = None

    def max_slots(self, base: int) -> int:
        """The maximum slots of a replica with this number of base slots."""
        limit = max(1, math.floor(base * self.most_factor))
        return limit if self.most_slots is None else min(limit, self.most_slots)


def surge(parameters: SurgeParameters) -> Policy:
    """The policy that lends slots until new replicas are ready.

    Its state: `base`, the base slots of a replica; `wanted`, the replicas decided last; `inner`, the state of
    SLOQ.
    """
    inner = sloq(parameters)

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        per_replica = signals.slots_per_replica
        base = parameters.base_slots or state.get("base") or per_replica
        before = signals.slots_asked or per_replica
        seen = signals
        if per_replica and {per_replica, before} != {base}:
            # While slots are lent, busy slots do not show the base slots of a replica.
            seen = replace(signals, slots_per_replica=base, busy=None, queued=None, busiest=None)
        decision = inner(state.get("inner", {}), seen, now)
        slots, lent_text = None, ""
        if base and decision.reason != "no-signal":
            replicas = _to_come(decision.desired, signals.desired, state.get("wanted"))
            slots = base
            if signals.ready > 0:
                needed = math.ceil(replicas * base / signals.ready)
                slots = max(base, min(parameters.max_slots(base), needed))
            if slots > base:
                lent_text = f"; {slots} slots per replica until the new ones are ready"
            elif before is not None and before > base:
                lent_text = f"; {base} slots per replica again"
        return replace(
            decision,
            slots=slots,
            explanation=f"{decision.explanation}{lent_text}",
            state={"base": base, "wanted": decision.desired, "inner": decision.state},
        )

    return decide


def _to_come(desired: int, requested: int, wanted: int | None) -> int:
    """The replicas that will exist; slots are lent for no others.

    If fewer were requested than decided last, outer bounds limit the number (a schedule or a pause).
    """
    return desired if wanted is None or requested >= wanted else min(desired, requested)
