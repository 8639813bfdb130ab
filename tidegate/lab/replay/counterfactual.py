"""Another policy in place of the recorded one, with the same objective, wrappers and tick."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import Any, Final

import orjson

from tidegate.autoscaler.live.configured_policy import policy_context
from tidegate.autoscaler.policy_builder import build_policy
from tidegate.autoscaler.policy_expression import PolicyError
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.types import Bounds, Policy
from tidegate.lab.replay.decisions import WRAPPERS, RecordedDecision
from tidegate.lab.replay.known_service import initial_state
from tidegate.lab.replay.replay import wrap_as_recorded
from tidegate.lab.replay.what_if import TickComparison, starts_new_run, what_if
from tidegate.settings import Settings

# Recorded parameters that the other policy gets as well.
CONTEXT_PARAMETERS: Final = ("slo_seconds", "slo_quantile", "stale_seconds", "until")


def other_policy(
    decisions: Sequence[RecordedDecision], expression: str, settings: Settings
) -> tuple[Callable[[RecordedDecision], Policy], float]:
    """A policy as it would have been where these decisions were recorded, and its tick in seconds.

    At each tick it is within the schedule and the pause or manual bounds of that time.

    Raises:
        PolicyError: the expression is invalid, or its tick is shorter than the recorded one.
    """
    recorded_tick = recorded_tick_seconds(decisions) or settings.autoscaler.tick_seconds
    context = policy_context(settings)
    tick = build_policy(expression, context, tick_seconds=recorded_tick).tick_seconds
    if tick < recorded_tick and not math.isclose(tick, recorded_tick, rel_tol=0.01):
        raise PolicyError(
            f"policy {expression!r}: tick must be at least {recorded_tick:g}: the recording has one tick"
            f" every {recorded_tick:g} s"
        )
    policies: dict[tuple[bytes, PolicyContext], Policy] = {}

    def policy_at(recorded: RecordedDecision) -> Policy:
        inputs = recorded.fields["inputs"]
        wrapper_inputs = {name: inputs[name] for name in WRAPPERS if inputs.get(name)}
        own = _recorded_context(context, recorded, inputs["parameters"])
        prepares = "predictive" in inputs["parameters"]
        # Parsing a schedule is slow, and it is mostly the same from tick to tick.
        key = (orjson.dumps([wrapper_inputs, prepares]), own)
        if key not in policies:
            built = build_policy(
                expression,
                own,
                tick_seconds=recorded_tick,
                defaults={"hpa": settings.autoscaler.hpa.model_dump()},
                prepares=prepares,
            )
            policies[key] = wrap_as_recorded(built.policy, built.parameters, wrapper_inputs)
        return policies[key]

    return policy_at, tick


def replay_other(
    decisions: Sequence[RecordedDecision], expression: str, settings: Settings
) -> list[TickComparison]:
    """What the policy would have decided at each of these decisions.

    Raises:
        PolicyError: the expression is invalid, or its tick is shorter than the recorded one.
        ValueError: a recorded parameter has no valid value.
    """
    policy_at, tick = other_policy(decisions, expression, settings)
    state = initial_state(decisions, expression)
    try:
        return what_if(decisions, policy_at, tick, state)
    except (TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ValueError(f"a recorded parameter has no valid value: {error!r}") from error


def recorded_tick_seconds(decisions: Sequence[RecordedDecision]) -> float | None:
    """The recorded tick: from the parameters, else the median gap; None if there is neither.

    What a queue or a jump at the gateway caused is no tick: at zero replicas, and between two of them.
    """
    tick = decisions[0].fields["inputs"]["parameters"].get("tick_seconds") if decisions else None
    if isinstance(tick, int | float) and tick > 0:
        return float(tick)
    gaps = [
        after.now - before.now
        for before, after in pairwise(decisions)
        if not (starts_new_run(before, after) or before.signals.between or after.signals.between)
        and before.fields["desired"] > 0
    ]
    # Each tick is late by some milliseconds, and Ray Serve's delays are a whole number of ticks.
    return (round(median(gaps), 1) or None) if gaps else None


def _recorded_context(
    context: PolicyContext, recorded: RecordedDecision, parameters: Mapping[str, Any]
) -> PolicyContext:
    """The context with the recorded objective and bounds instead of those of the settings."""
    known = {name: parameters[name] for name in CONTEXT_PARAMETERS if name in parameters}
    if {"min", "max"} <= parameters.keys():
        known["bounds"] = Bounds(parameters["min"], parameters["max"])
    known |= parameters.get("predictive", {})
    max_slots = parameters.get("most_slots")
    return replace(context, **known, slots=recorded.own_slots, most_slots=max_slots)
