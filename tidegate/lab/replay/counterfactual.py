"""Another policy in place of the recorded one, with the same objective, wrappers and tick."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """Another policy, built as it would have been where the decisions were recorded.

    Attributes:
        expression: the policy expression.
        settings: for what is not recorded.
        recorded_seconds: the time between recorded ticks.
        tick_seconds: the time between decisions of this policy.
    """

    expression: str
    settings: Settings
    recorded_seconds: float
    tick_seconds: float
    _policies: dict[tuple[bytes, PolicyContext], Policy] = field(default_factory=dict, init=False)

    @classmethod
    def for_decisions(
        cls, decisions: Sequence[RecordedDecision], expression: str, settings: Settings
    ) -> Counterfactual:
        """The policy for these decisions.

        Raises:
            PolicyError: the expression is invalid, or its tick is shorter than the recorded one.
        """
        recorded = recorded_tick_seconds(decisions) or settings.autoscaler.tick_seconds
        tick = build_policy(
            expression, policy_context(settings), tick_seconds=recorded
        ).tick_seconds
        if tick < recorded and not math.isclose(tick, recorded, rel_tol=0.01):
            raise PolicyError(
                f"policy {expression!r}: tick must be at least {recorded:g}: the recording has one tick every"
                f" {recorded:g} s"
            )
        return cls(expression, settings, recorded, tick)

    def policy_at(self, recorded: RecordedDecision) -> Policy:
        """The policy at a recorded tick, within the schedule and the pause or manual bounds of that time."""
        inputs = recorded.fields["inputs"]
        wrapper_inputs = {name: inputs[name] for name in WRAPPERS if inputs.get(name)}
        context = _recorded_context(policy_context(self.settings), recorded, inputs["parameters"])
        # Parsing a schedule is slow, and it is mostly the same from tick to tick.
        key = (orjson.dumps([wrapper_inputs, "predictive" in inputs["parameters"]]), context)
        if key not in self._policies:
            built = build_policy(
                self.expression,
                context,
                tick_seconds=self.recorded_seconds,
                defaults={"hpa": self.settings.autoscaler.hpa.model_dump()},
                prepares="predictive" in inputs["parameters"],
            )
            try:
                self._policies[key] = wrap_as_recorded(
                    built.policy, built.parameters, wrapper_inputs
                )
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"line {recorded.line}: not a decision: {error!r}") from error
        return self._policies[key]


def replay_other(
    decisions: Sequence[RecordedDecision], expression: str, settings: Settings
) -> list[TickComparison]:
    """What the policy would have decided at each of these decisions.

    Raises:
        PolicyError: the expression is invalid, or its tick is shorter than the recorded one.
        ValueError: a recorded parameter has no valid value.
    """
    other = Counterfactual.for_decisions(decisions, expression, settings)
    state = initial_state(decisions, expression)
    try:
        return what_if(decisions, other.policy_at, other.tick_seconds, state)
    except (TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ValueError(f"a recorded parameter has no valid value: {error!r}") from error


def recorded_tick_seconds(decisions: Sequence[RecordedDecision]) -> float | None:
    """The recorded tick: from the parameters, else the median gap; None if there is neither.

    Ticks at zero replicas are left out: they come every second, whatever the policy's tick.
    """
    tick = decisions[0].fields["inputs"]["parameters"].get("tick_seconds") if decisions else None
    if isinstance(tick, int | float) and tick > 0:
        return float(tick)
    gaps = [
        after.now - before.now
        for before, after in pairwise(decisions)
        if not starts_new_run(before, after) and before.fields["desired"] > 0
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
