"""A policy expression as simulated, from and to the settings.

Live, every policy decides each `autoscaler.tick_seconds`, and `hpa` has the options of `[autoscaler.hpa]`.
In a simulation, a policy has the tick of its authors and its own defaults, unless its expression says
otherwise.
"""

from __future__ import annotations

from typing import Final

from tidegate.autoscaler.policy_expression import parse
from tidegate.lab.simulator.simulated_policy import simulated_policy
from tidegate.lab.simulator.system import System
from tidegate.settings import Settings
from tidegate.settings.scaling import Hpa

# Names of one option of `hpa`.
HPA_TARGET: Final = {"target", "inflight"}


def present_policy(settings: Settings, system: System) -> str:
    """The expression that decides in a simulation as the settings do live.

    `predictive` stays out: a part of a trace hardly ever has three earlier days.

    Raises:
        PolicyError: the policy of the settings is invalid.
    """
    autoscaler = settings.autoscaler
    expression = autoscaler.policy
    built = simulated_policy(expression, system)
    parsed = parse(expression)
    given = parsed.options
    added: dict[str, float] = {}
    if parsed.name == "hpa":
        usual = Hpa().model_dump()
        known = given.keys() | (HPA_TARGET if HPA_TARGET & given.keys() else set())
        added = {
            option: value
            for option, value in autoscaler.hpa.model_dump().items()
            if option not in known and value != usual[option]
        }
    if "tick" not in given and built.tick_seconds != autoscaler.tick_seconds:
        added["tick"] = autoscaler.tick_seconds
    if not added:
        return expression
    options = ",".join(f"{option}={value:g}" for option, value in added.items())
    return f"{expression}{',' if given else ':'}{options}"


def settings_of(policy: str, system: System, present_tick: float) -> str:
    """The lines of tidegate.toml, with which the policy decides live as it did in the simulation."""
    lines = ["[autoscaler]", f'policy = "{policy}"']
    tick = simulated_policy(policy, system).tick_seconds
    if "tick" not in parse(policy).options and tick != present_tick:
        lines.append(f"tick_seconds = {tick:g}")
    return "\n".join(lines)
