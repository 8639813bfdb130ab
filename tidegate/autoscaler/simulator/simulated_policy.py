"""Policies as they take part in a simulation: named by the same words as anywhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tidegate.autoscaler.policy_builder import BuiltPolicy, build_policy
from tidegate.autoscaler.policy_expression import policy_name_of
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.types import Bounds
from tidegate.autoscaler.wrappers.scale_to_zero import ScaleToZeroParameters, scale_to_zero
from tidegate.settings import Autoscaler

IDLE_SECONDS: Final = Autoscaler().idle_seconds
"""As live, if nobody sets it."""


def simulated_policy(expression: str, system: System) -> BuiltPolicy:
    """The policy that the words name, for a system.

    Each policy ticks as often as its authors have it, unless `tick` says otherwise. Where there may be no
    replica, all but KEDA go to zero and come back as they do live.

    Args:
        expression: as they stand in the settings.
        system: what it is for: its bounds and its objective.

    Raises:
        PolicyError: there is no such policy, or it has no such option.
    """
    bounds = system.bounds
    if bounds.min > 0 or policy_name_of(expression) == "keda":  # KEDA goes to zero by itself
        return build_policy(
            expression, PolicyContext(bounds, system.slo_seconds, system.slo_quantile)
        )
    own = PolicyContext(Bounds(1, bounds.max), system.slo_seconds, system.slo_quantile)
    built = build_policy(expression, own)
    zero = ScaleToZeroParameters(bounds.max, IDLE_SECONDS, own.stale_seconds)
    return replace(built, policy=scale_to_zero(built.policy, built.parameters, zero))
