"""Builds a policy for a simulation, from the same expressions as live, and runs it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tidegate.autoscaler.policy_builder import BuiltPolicy, build_policy
from tidegate.autoscaler.policy_expression import parse
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.types import Bounds
from tidegate.autoscaler.wrappers.scale_to_zero import ScaleToZeroParameters, scale_to_zero
from tidegate.lab.simulator.run import Run, simulate
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Trace
from tidegate.settings import Autoscaler

IDLE_SECONDS: Final = Autoscaler().idle_seconds
"""The default of the setting."""


def simulated_policy(expression: str, system: System) -> BuiltPolicy:
    """Build the policy of an expression for a system.

    Each policy has its default tick unless `tick` is set, and prepares for rises by the clock only with
    `predictive=1`. With a minimum of 0, all but KEDA scale to zero and
    back as they do live.

    Raises:
        PolicyError: the expression is invalid.
    """
    bounds = system.bounds
    context = PolicyContext(
        bounds,
        system.slo_seconds,
        system.slo_quantile,
        until=system.until,
        start_seconds=system.startup_seconds,
    )
    if bounds.min > 0 or parse(expression).name == "keda":  # KEDA goes to zero by itself
        return build_policy(expression, context)
    own = replace(context, bounds=Bounds(1, bounds.max))
    built = build_policy(expression, own)
    zero = ScaleToZeroParameters(bounds.max, IDLE_SECONDS, own.stale_seconds)
    return replace(built, policy=scale_to_zero(built.policy, built.parameters, zero))


def run_policy(expression: str, trace: Trace, system: System, seed: int) -> Run:
    """Run the policy of an expression on a trace, in this process; arguments as for `simulate`.

    Raises:
        PolicyError: the expression is invalid.
    """
    built = simulated_policy(expression, system)
    return simulate(
        built.policy,
        trace,
        system,
        seed=seed,
        tick_seconds=built.tick_seconds,
        uses_history=built.uses_history,
        uses_gateway=built.uses_gateway,
    )
