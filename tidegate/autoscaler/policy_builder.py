"""Builds policies from policy expressions (`policy_expression.py`).

A policy is built from its parameters (JSON types), which are recorded in the inputs of each decision. So the
live autoscaler, the simulator and a replay build the same policy in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tidegate.autoscaler.policy_expression import Expression, PolicyError, parse
from tidegate.autoscaler.policy_registry import (
    POLICIES,
    POSITIVE_OPTIONS,
    PolicyContext,
    PolicyType,
)
from tidegate.autoscaler.types import Policy
from tidegate.autoscaler.wrappers.combinators import COMBINATORS, combined
from tidegate.autoscaler.wrappers.predictive import predictive

# Options of every policy; in a composition, of the whole.
OPTIONS_OF_ALL: Final = ("tick", "predictive")


@dataclass(frozen=True, slots=True)
class BuiltPolicy:
    """A policy, built from its expression.

    Expression and parameters suffice to build it again. It `uses_history` if it prepares for rises that
    earlier days had, and the gateway's counters between ticks if it `uses_gateway`.
    """

    expression: str
    parameters: Mapping[str, Any]
    policy: Policy
    tick_seconds: float
    uses_history: bool = False
    sets_slots: bool = False
    uses_gateway: bool = False


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
    parsed = parse(expression)
    parts = _parts_of(parsed)
    shortest = min(of.tick_seconds for _, of, _ in parts)
    tick = parsed.options.get("tick", tick_seconds or shortest)
    if not tick > 0:
        raise PolicyError(f"policy {expression!r}: tick must be above 0 s")
    on = parsed.options.get("predictive", int(prepares))
    if on not in {0, 1}:
        raise PolicyError(f"policy {expression!r}: predictive must be 0 or 1")
    parameters_of = {
        part.text: {
            **of.default_parameters(context, float(tick)),
            **(defaults or {}).get(part.name, {}),
            **given,
        }
        for part, of, given in parts
    }
    if parsed.parts:
        parameters: dict[str, Any] = {
            "min": context.bounds.min,
            "max": context.bounds.max,
            "parts": [{"policy": one, "parameters": own} for one, own in parameters_of.items()],
        }
    else:
        (parameters,) = parameters_of.values()
    if on:
        parameters |= {"predictive": {"start_seconds": context.start_seconds}}
    policy = policy_from_parameters(expression, parameters)
    sets_slots = any(of.sets_slots for _, of, _ in parts)
    senses = any(of.uses_gateway for _, of, _ in parts)
    return BuiltPolicy(expression, parameters, policy, float(tick), bool(on), sets_slots, senses)


Part = tuple[Expression, PolicyType, dict[str, int | float]]
"""A single policy, its type, and its own options."""


def _parts_of(whole: Expression) -> list[Part]:
    """The policies of an expression: one, or those of a composition.

    These decide at the same ticks; otherwise one of them would act on old signals.
    """
    if not whole.parts:
        return [_part(whole)]
    by = whole.name
    if unknown := whole.options.keys() - set(OPTIONS_OF_ALL):
        raise PolicyError(
            f"policy {whole.text!r}: unknown option {min(unknown)!r}; {by}(…) only has"
            f" {' and '.join(OPTIONS_OF_ALL)}"
        )
    parts = [_part(part) for part in whole.parts]
    for part, of, _ in parts:
        if shared := [option for option in OPTIONS_OF_ALL if option in part.options]:
            raise PolicyError(
                f"policy {whole.text!r}: all parts share one {shared[0]}: {by}(…):{shared[0]}=NUMBER"
            )
        if of.sets_slots:
            raise PolicyError(
                f"policy {whole.text!r}: {part.text} sets slots, so it cannot be part of {by}(…)"
            )
    return parts


def _part(expression: Expression) -> Part:
    of, text = _policy_type(expression.name), expression.text
    given = {
        of.aliases.get(option, option): value
        for option, value in expression.options.items()
        if option not in OPTIONS_OF_ALL
    }
    for option, value in given.items():
        if option not in of.options:
            raise PolicyError(
                f"policy {text!r}: unknown option {option!r}; known:"
                f" {', '.join([*of.aliases, *of.options, *OPTIONS_OF_ALL])}"
            )
        if option in POSITIVE_OPTIONS and not value > 0:
            raise PolicyError(f"policy {text!r}: {option} must be above 0")
        if of.options[option].startswith("int") and not isinstance(value, int):
            raise PolicyError(f"policy {text!r}: {option} must be a whole number")
    return expression, of, given


def policy_from_parameters(expression: str, parameters: Mapping[str, Any]) -> Policy:
    """Build a policy from recorded parameters.

    Options in the expression are ignored: they are in the parameters.

    Raises:
        ValueError: the policy is unknown, or these are not its parameters.
    """
    name = parse(expression).name
    try:
        own = {key: value for key, value in parameters.items() if key != "predictive"}
        if name in COMBINATORS:
            parts = {
                part["policy"]: policy_from_parameters(part["policy"], part["parameters"])
                for part in own["parts"]
            }
            policy = combined(name, parts, own)
        else:
            policy = _policy_type(name).build(own)
        prepared = parameters.get("predictive")
        return predictive(policy, **prepared) if prepared else policy
    except (AttributeError, KeyError, TypeError) as error:
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
