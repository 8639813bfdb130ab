"""Builds policies from policy expressions (`policy_expression.py`).

A policy is built from its parameters (JSON types), which are recorded in the inputs of each decision. So the
live autoscaler, the simulator and a replay build the same policy in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tidegate.autoscaler.policy_expression import (
    Composition,
    PolicyError,
    options_of,
    parse_composition,
    parse_policy,
)
from tidegate.autoscaler.policy_registry import POLICIES, PolicyContext, PolicyType
from tidegate.autoscaler.types import Bounds, Policy
from tidegate.autoscaler.wrappers.combinators import COMBINATORS, combined
from tidegate.autoscaler.wrappers.predictive import predictive

# Options of every policy; in a composition, of the whole.
OPTIONS_OF_ALL: Final = ("tick", "predictive")


@dataclass(frozen=True, slots=True)
class BuiltPolicy:
    """A policy, built from its expression.

    Attributes:
        expression: the policy expression.
        parameters: all of them; with the name, they suffice to build it again.
        policy: the decision function.
        tick_seconds: the time between decisions.
        uses_history: whether it prepares for rises that earlier days had.
        sets_slots: whether it sets the slots of replicas.
    """

    expression: str
    parameters: Mapping[str, Any]
    policy: Policy
    tick_seconds: float
    uses_history: bool = False
    sets_slots: bool = False


def build_policy(
    expression: str,
    context: PolicyContext,
    *,
    tick_seconds: float | None = None,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
    prepares: bool = False,
) -> BuiltPolicy:
    """Build the policy of an expression.

    Args:
        expression: `NAME`, `NAME:OPTION=NUMBER,…`, or `max(…)` and `min(…)` of them; the option `tick` is
            the time between decisions, `predictive` (0 or 1) whether it prepares for rises by the clock.
        context: bounds, objective and slots.
        tick_seconds: the time between decisions, if not in the expression; None: the policy's default.
        defaults: by policy, its options that are not in the expression.
        prepares: whether it prepares for rises by the clock, if not in the expression.

    Raises:
        PolicyError: the policy or an option is unknown, or a value is invalid.
    """
    if composition := parse_composition(expression):
        built = _build_composition(expression, composition, context, tick_seconds, defaults)
    else:
        built = _build_one(expression, context, tick_seconds, defaults)
    on = options_of(expression).get("predictive", int(prepares))
    if on not in {0, 1}:
        raise PolicyError(f"policy {expression!r}: predictive must be 0 or 1")
    if not on:
        return built
    parameters = {**built.parameters, "predictive": {"start_seconds": context.start_seconds}}
    policy = predictive(built.policy, context.start_seconds)
    return replace(built, parameters=parameters, policy=policy, uses_history=True)


def _build_one(
    expression: str,
    context: PolicyContext,
    tick_seconds: float | None,
    defaults: Mapping[str, Mapping[str, Any]] | None,
) -> BuiltPolicy:
    name, options = parse_policy(expression)
    policy_type = _policy_type(name)
    tick = options.get("tick", tick_seconds or policy_type.tick_seconds)
    if not tick > 0:
        raise PolicyError(f"policy {expression!r}: tick must be above 0 s")
    options_given = {
        policy_type.aliases.get(option, option): value
        for option, value in options.items()
        if option not in OPTIONS_OF_ALL
    }
    _check_options(expression, policy_type, options_given)
    defaults_of_policy = (defaults or {}).get(name, {})
    parameters = {
        **policy_type.default_parameters(context, float(tick)),
        **defaults_of_policy,
        **options_given,
    }
    policy = policy_type.build(parameters)
    return BuiltPolicy(
        expression, parameters, policy, float(tick), sets_slots=policy_type.sets_slots
    )


def _build_composition(
    expression: str,
    composition: Composition,
    context: PolicyContext,
    tick_seconds: float | None,
    defaults: Mapping[str, Mapping[str, Any]] | None,
) -> BuiltPolicy:
    """All parts decide at each tick; otherwise one of them would act on old signals."""
    for part in composition.parts:
        if shared := [option for option in OPTIONS_OF_ALL if option in options_of(part)]:
            raise PolicyError(
                f"policy {expression!r}: all parts share one {shared[0]}:"
                f" {composition.by}(…):{shared[0]}=NUMBER"
            )
    if unknown := composition.options.keys() - set(OPTIONS_OF_ALL):
        raise PolicyError(
            f"policy {expression!r}: unknown option {min(unknown)!r}; {composition.by}(…) only has"
            f" {' and '.join(OPTIONS_OF_ALL)}"
        )
    uncoordinated = [build_policy(part, context, defaults=defaults) for part in composition.parts]
    for one in uncoordinated:
        if one.sets_slots:
            raise PolicyError(
                f"policy {expression!r}: {one.expression} sets slots, so it cannot be part of"
                f" {composition.by}(…)"
            )
    tick = composition.options.get(
        "tick", tick_seconds or min(part.tick_seconds for part in uncoordinated)
    )
    if not tick > 0:
        raise PolicyError(f"policy {expression!r}: tick must be above 0 s")
    parts = [
        build_policy(part, context, tick_seconds=float(tick), defaults=defaults)
        for part in composition.parts
    ]
    parameters = {
        "min": context.bounds.min,
        "max": context.bounds.max,
        "parts": [
            {"policy": part.expression, "parameters": dict(part.parameters)} for part in parts
        ],
    }
    policy = combined(composition.by, {part.expression: part.policy for part in parts}, parameters)
    return BuiltPolicy(expression, parameters, policy, float(tick))


def check_live(expression: str) -> None:
    """Raise `PolicyError` if the expression is not a policy that can run live."""
    build_policy(expression, PolicyContext(Bounds(1, 1), slo_seconds=1.0))
    if composition := parse_composition(expression):
        for part in composition.parts:
            check_live(part)
        return
    _, options = parse_policy(expression)
    if options.get("idle", 1) < 1:
        raise PolicyError(
            f"policy {expression!r}: idle must be at least 1; to scale to zero under any policy, set"
            " replicas.min = 0 and autoscaler.idle_seconds"
        )


def policy_from_parameters(expression: str, parameters: Mapping[str, Any]) -> Policy:
    """Build a policy from recorded parameters.

    Args:
        expression: the policy expression; its options are ignored, as they are in the parameters.
        parameters: as recorded in the inputs of its decisions.

    Raises:
        ValueError: the policy is unknown, or these are not its parameters.
    """
    composition = parse_composition(expression)
    name = composition.by if composition else expression.partition(":")[0]
    try:
        if "predictive" in parameters:
            inner = {key: value for key, value in parameters.items() if key != "predictive"}
            policy = policy_from_parameters(expression, inner)
            return predictive(policy, **parameters["predictive"])
        if composition is None:
            return _policy_type(name).build(parameters)
        parts = {
            part["policy"]: policy_from_parameters(part["policy"], part["parameters"])
            for part in parameters["parts"]
        }
        return combined(composition.by, parts, parameters)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not the parameters of policy {name!r}: {error}") from error


def _policy_type(name: str) -> PolicyType:
    if name == "predictive":
        raise PolicyError(
            "'predictive' is not a policy but works around every one: set autoscaler.predictive = true, and"
            ' autoscaler.policy = "sloq" or another policy'
        )
    if name not in POLICIES:
        known = ", ".join([*POLICIES, *(f"{by}(…)" for by in COMBINATORS)])
        raise PolicyError(f"unknown policy {name!r}; known: {known}")
    return POLICIES[name]


def _check_options(
    expression: str, policy_type: PolicyType, options: Mapping[str, int | float]
) -> None:
    for option, value in options.items():
        if option not in policy_type.options:
            raise PolicyError(
                f"policy {expression!r}: unknown option {option!r}; known:"
                f" {', '.join([*policy_type.aliases, *policy_type.options, *OPTIONS_OF_ALL])}"
            )
        if option in policy_type.positive_options and not value > 0:
            raise PolicyError(f"policy {expression!r}: {option} must be above 0")
        if policy_type.options[option].startswith("int") and not isinstance(value, int):
            raise PolicyError(f"policy {expression!r}: {option} must be a whole number")
