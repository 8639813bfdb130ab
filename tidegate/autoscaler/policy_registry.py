"""Every kind of policy by its name: the one place where a new one is entered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tidegate.autoscaler.policies import keda, kpa, ray_serve, step
from tidegate.autoscaler.policies.hpa import hpa
from tidegate.autoscaler.policies.predictive import PredictiveParameters, predictive
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.types import Bounds, Policy
from tidegate.autoscaler.wrappers.vertical import VerticalParameters, surge, vertical

# What an option cannot be: it is said elsewhere, once.
GIVEN: Final = frozenset({"min", "max", "tick_seconds", "bounds", "base_slots", "most_slots"})


@dataclass(frozen=True, slots=True)
class Goal:
    """What a policy is for: the same for all of them.

    Attributes:
        bounds: of the number of replicas.
        slo_seconds: the response time to keep.
        slo_quantile: the share of requests that must keep it.
        stale_seconds: older signals are not believed.
        slots: those that a replica has by itself; None means those that it is first seen with.
        most_slots: as many as it may be given; None means that only the policy's options say.
    """

    bounds: Bounds
    slo_seconds: float
    slo_quantile: float = 0.95
    stale_seconds: float = 15.0
    slots: int | None = None
    most_slots: int | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of policy.

    Attributes:
        make: the policy from its parameters.
        parameters: what lists them, by the names and types of its arguments.
        tick_seconds: how often its authors have it decide.
        above_zero: options that must be above 0.
        aliases: other names of options.
        history: whether it is told what came on earlier days.
        sets_slots: whether it changes the slots of replicas, which not every resizer can.
        counts_slots: whether it sizes by slots alone: it needs real ones, as CPU for the same slots changes
            the time in a slot that it reckons with.
    """

    make: Callable[[Mapping[str, Any]], Policy]
    parameters: Callable[..., object]
    tick_seconds: float
    above_zero: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)
    history: bool = False
    sets_slots: bool = False
    counts_slots: bool = False

    @property
    def options(self) -> dict[str, str]:
        """The type of each option, by its name."""
        arguments = inspect.signature(self.parameters).parameters
        return {
            name: str(argument.annotation)
            for name, argument in arguments.items()
            if name not in GIVEN
        }

    def told(self, goal: Goal, tick_seconds: float) -> dict[str, Any]:
        """The parameters that follow from what it is for."""
        numbers = {
            "min": goal.bounds.min,
            "max": goal.bounds.max,
            "slo_seconds": goal.slo_seconds,
            "slo_quantile": goal.slo_quantile,
            "stale_seconds": goal.stale_seconds,
            "tick_seconds": tick_seconds,
            "base_slots": goal.slots,
            "most_slots": goal.most_slots,
        }
        known = {"min", "max", *inspect.signature(self.parameters).parameters}
        return {name: value for name, value in numbers.items() if name in known}


def _make_hpa(parameters: Mapping[str, Any]) -> Policy:
    own = {name: value for name, value in parameters.items() if name not in {"min", "max"}}
    return hpa(Bounds(parameters["min"], parameters["max"]), **own)


SLOQ_ABOVE_ZERO: Final = frozenset(
    {"slo_seconds", "service_seconds", "late_share", "patience_share"}
)

KINDS: Final[Mapping[str, Kind]] = {
    "sloq": Kind(
        lambda told: sloq(SloqParameters(**told)),
        SloqParameters,
        tick_seconds=5.0,
        above_zero=SLOQ_ABOVE_ZERO,
    ),
    "predictive": Kind(
        lambda told: predictive(PredictiveParameters(**told)),
        PredictiveParameters,
        tick_seconds=5.0,
        above_zero=SLOQ_ABOVE_ZERO,
        history=True,
    ),
    "hpa": Kind(
        _make_hpa,
        hpa,
        tick_seconds=15.0,
        above_zero=frozenset({"target"}),
        aliases={"inflight": "target"},
    ),
    "kpa": Kind(
        lambda told: kpa.kpa(kpa.KpaParameters(**told)),
        kpa.KpaParameters,
        tick_seconds=kpa.TICK_SECONDS,
        above_zero=frozenset({"target_utilisation", "max_up_rate", "max_down_rate"}),
    ),
    "ray-serve": Kind(
        lambda told: ray_serve.ray_serve(ray_serve.RayServeParameters(**told)),
        ray_serve.RayServeParameters,
        tick_seconds=ray_serve.TICK_SECONDS,
        above_zero=frozenset({"target"}),
    ),
    "keda": Kind(
        lambda told: keda.keda(keda.KedaParameters(**told)),
        keda.KedaParameters,
        tick_seconds=keda.TICK_SECONDS,
        above_zero=frozenset({"inflight"}),
    ),
    "vertical": Kind(
        lambda told: vertical(VerticalParameters(**told)),
        VerticalParameters,
        tick_seconds=5.0,
        above_zero=SLOQ_ABOVE_ZERO | {"most_factor"},
        sets_slots=True,
        counts_slots=True,
    ),
    "surge": Kind(
        lambda told: surge(VerticalParameters(**told)),
        VerticalParameters,
        tick_seconds=5.0,
        above_zero=SLOQ_ABOVE_ZERO | {"most_factor"},
        sets_slots=True,
    ),
    "step": Kind(
        lambda told: step.step(step.StepParameters(**told)),
        step.StepParameters,
        tick_seconds=step.TICK_SECONDS,
    ),
}
