"""The policies by name. Register a new one here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tidegate.autoscaler.policies import hpa, keda, kpa, ray_serve, static, step
from tidegate.autoscaler.sloq.parameters import PRIORITIES, Priority, SloqParameters
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, format_change
from tidegate.autoscaler.wrappers.surge import SurgeParameters, surge

# Parameters that are no options: they come from other settings.
NOT_OPTIONS: Final = frozenset({"min", "max", "until", "tick_seconds", "base_slots", "most_slots"})
# Options that divide, or whose logarithm is taken.
POSITIVE_OPTIONS: Final = frozenset(
    {
        *("slo_seconds", "service_seconds", "late_share", "wait_share", "most_factor"),
        *("target", "inflight", "target_utilisation", "max_up_rate", "max_down_rate"),
    }
)


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """What every policy is built for: bounds, objective and slots.

    Attributes:
        bounds: of the number of replicas.
        slo_seconds: the objective: the maximum response time.
        slo_quantile: the fraction of requests that must meet it.
        until: the byte of the response that must arrive within it.
        priority: what weighs more where both cannot be had.
        start_seconds: until a new replica is ready, at most.
        stale_seconds: older signals are not used.
        slots: of a replica without lent ones; None: as first measured.
        most_slots: the maximum slots of a replica; None: only the policy's options limit them.
    """

    bounds: Bounds
    slo_seconds: float
    slo_quantile: float = 0.95
    stale_seconds: float = 15.0
    slots: int | None = None
    most_slots: int | None = None
    until: Literal["last_byte", "first_byte"] = "last_byte"
    priority: Priority = "balanced"
    start_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class PolicyType:
    """A registered policy.

    Attributes:
        policy: makes the policy of its parameters.
        parameters: their class.
        tick_seconds: the default time between decisions, as its authors have it.
        aliases: alternative names of options.
        sets_slots: whether it sets the slots of replicas, which not every resizer can.
        uses_gateway: whether it decides between ticks, too, by the gateway's counters.
    """

    policy: Callable[[Any], Policy]
    parameters: type
    tick_seconds: float
    aliases: Mapping[str, str] = field(default_factory=dict)
    sets_slots: bool = False
    uses_gateway: bool = False

    def build(self, parameters: Mapping[str, Any]) -> Policy:
        """The policy of these parameters.

        Raises:
            TypeError: one is missing or unknown.
        """
        policy = self.policy(self.parameters(**parameters))
        return policy if self.uses_gateway else _at_ticks(policy, parameters)

    @property
    def options(self) -> dict[str, str]:
        """The type of each option, by its name."""
        arguments = inspect.signature(self.parameters).parameters
        return {
            name: str(argument.annotation)
            for name, argument in arguments.items()
            if name not in NOT_OPTIONS
        }

    def default_parameters(self, context: PolicyContext, tick_seconds: float) -> dict[str, Any]:
        """The parameters that follow from the context."""
        values: dict[str, Any] = {
            "min": context.bounds.min,
            "max": context.bounds.max,
            "slo_seconds": context.slo_seconds,
            "slo_quantile": context.slo_quantile,
            "stale_seconds": context.stale_seconds,
            "tick_seconds": tick_seconds,
            "base_slots": context.slots,
            "most_slots": context.most_slots,
            "until": context.until,
            **PRIORITIES[context.priority],
        }
        known = inspect.signature(self.parameters).parameters
        return {name: value for name, value in values.items() if name in known}


def _at_ticks(policy: Policy, parameters: Mapping[str, Any]) -> Policy:
    """The policy, which holds the number between ticks: those that it imitates have no such decision."""
    bounds = Bounds(parameters["min"], parameters["max"])

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        if not signals.between:
            return policy(state, signals, now)
        number = bounds.clamp(signals.desired)
        text = f"{format_change(signals.desired, number)}: this policy decides only at its ticks"
        return Decision(number, "hold", text, {"parameters": dict(parameters)}, state)

    return decide


POLICIES: Final[Mapping[str, PolicyType]] = {
    "sloq": PolicyType(sloq, SloqParameters, 5.0, uses_gateway=True),
    "hpa": PolicyType(hpa.hpa, hpa.HpaParameters, hpa.TICK_SECONDS, {"inflight": "target"}),
    "kpa": PolicyType(kpa.kpa, kpa.KpaParameters, kpa.TICK_SECONDS),
    "ray-serve": PolicyType(
        ray_serve.ray_serve, ray_serve.RayServeParameters, ray_serve.TICK_SECONDS
    ),
    "keda": PolicyType(keda.keda, keda.KedaParameters, keda.TICK_SECONDS),
    "surge": PolicyType(surge, SurgeParameters, 5.0, sets_slots=True, uses_gateway=True),
    "step": PolicyType(step.step, step.StepParameters, step.TICK_SECONDS),
    "static": PolicyType(static.static, static.StaticParameters, static.TICK_SECONDS),
}
