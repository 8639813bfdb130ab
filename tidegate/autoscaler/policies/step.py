"""Step scaling, as autoscalers for Docker Swarm do it: one more, or one fewer, once a minute.

The common denominator of the simple ones: a mean usage above an upper threshold adds a replica, below
a lower one takes one away, and then nothing happens for a while.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from tidegate.autoscaler.policies.samples import missing_signal
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, format_change

TICK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class StepParameters:
    """Its settings.

    Attributes:
        min: never fewer replicas.
        max: never more replicas.
        above: with more requests in system per slot, one is added.
        below: with fewer, one is taken away.
        every_seconds: no more than one step in this long.
    """

    min: int
    max: int
    above: float = 0.85
    below: float = 0.4
    every_seconds: float = 60.0


def step(parameters: StepParameters) -> Policy:
    """The policy with these parameters. Its state: `stepped_at`, the time of the last step."""
    recorded_parameters = asdict(parameters)
    bounds = Bounds(parameters.min, parameters.max)

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        held, stepped_at = signals.desired, state.get("stepped_at")
        why = missing_signal(signals) or ("no replica is ready" if signals.ready < 1 else "")
        usage, by = 0.0, 0
        if not why:
            slots = signals.ready * (signals.slots_per_replica or 1)
            usage = (signals.in_system or 0.0) / slots
            if stepped_at is None or now - stepped_at >= parameters.every_seconds:
                by = (usage > parameters.above) - (usage < parameters.below)
        desired = bounds.clamp(held + by)
        moved = "up" if desired > held else "down" if desired < held else "hold"
        words = why or f"{usage:.2f} requests in system per slot"
        return Decision(
            desired=desired,
            reason="no-signal" if why else moved,
            explanation=f"{format_change(held, desired)}: {words}",
            inputs={"usage": usage, "parameters": recorded_parameters},
            state={"stepped_at": now if desired != held else stepped_at},
        )

    return decide
