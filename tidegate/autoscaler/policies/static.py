"""A fixed number of replicas: what a service costs that does not scale, and what replicas cannot avoid."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, direction, format_change

TICK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class StaticParameters:
    """The bounds, and the number.

    0 replicas are the maximum.
    """

    min: int
    max: int
    replicas: int = 0


def static(parameters: StaticParameters) -> Policy:
    """The policy with these parameters. It uses no signal."""
    recorded_parameters = asdict(parameters)
    number = parameters.replicas or parameters.max
    desired = Bounds(parameters.min, parameters.max).clamp(number)

    def decide(_state: dict[str, Any], signals: Signals, _now: float) -> Decision:
        current = signals.desired
        return Decision(
            desired=desired,
            reason=direction(current, desired),
            explanation=f"{format_change(current, desired)}: the number is fixed",
            inputs={"parameters": recorded_parameters},
            state={},
        )

    return decide
