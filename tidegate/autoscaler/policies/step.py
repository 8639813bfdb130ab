"""Step scaling, as autoscalers for Docker Swarm do it: one replica more or fewer, once a minute.

Usage above an upper threshold adds a replica, below a lower threshold removes one; then a cooldown follows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from tidegate.autoscaler.policies.samples import missing_signal
from tidegate.autoscaler.types import (
    Bounds,
    Decision,
    Policy,
    Signals,
    digits,
    direction,
    format_change,
)

TICK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class StepParameters:
    """The options of `step`.

    Attributes:
        min: the minimum number of replicas.
        max: the maximum.
        above: requests in the system per slot above which a replica is added.
        below: requests in the system per slot below which one is removed.
        every_seconds: the minimum time between steps.
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
        current, stepped_at = signals.desired, state.get("stepped_at")
        why = missing_signal(signals) or ("no replica is ready" if signals.ready < 1 else "")
        usage, by = 0.0, 0
        if not why:
            slots = signals.ready * (signals.slots_per_replica or 1)
            usage = (signals.in_system or 0.0) / slots
            if stepped_at is None or now - stepped_at >= parameters.every_seconds:
                by = (usage > parameters.above) - (usage < parameters.below)
        desired = bounds.clamp(current + by)
        moved = direction(current, desired)
        text = why or f"{digits(usage)} requests in the system per slot"
        return Decision(
            desired=desired,
            reason="no-signal" if why else moved,
            explanation=f"{format_change(current, desired)}: {text}",
            inputs={"usage": usage, "parameters": recorded_parameters},
            state={"stepped_at": now if desired != current else stepped_at},
        )

    return decide
