"""Another policy in the place of the one that decided: for the same, within the same, as often."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import Any, Final

import orjson

from tidegate.autoscaler.audit.decisions import RecordedDecision
from tidegate.autoscaler.audit.replay import wrap_as_recorded
from tidegate.autoscaler.audit.what_if import starts_new_run
from tidegate.autoscaler.live.configured_policy import policy_context
from tidegate.autoscaler.policy_builder import build_policy, check_live
from tidegate.autoscaler.policy_expression import PolicyError
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.types import Bounds, Policy
from tidegate.settings import Settings

# What a recorded policy may have been told that another one is told too.
CONTEXT_PARAMETERS: Final = ("slo_seconds", "slo_quantile", "stale_seconds")
WRAPPERS: Final = ("zero", "schedule", "control")


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """A policy by its words, as it would have been made where a recording comes from.

    Attributes:
        expression: what it is named by.
        settings: what it is told where the recording does not say it.
        recorded_seconds: from one recorded tick to the next.
        tick_seconds: from one of its own to the next.
    """

    expression: str
    settings: Settings
    recorded_seconds: float
    tick_seconds: float
    _policies: dict[tuple[bytes, PolicyContext], Policy] = field(default_factory=dict, init=False)

    @classmethod
    def over(
        cls, decisions: Sequence[RecordedDecision], expression: str, settings: Settings
    ) -> Counterfactual:
        """The policy of that name for these decisions.

        Raises:
            PolicyError: there is none, or it decides more often than was recorded.
        """
        check_live(expression)
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
        """It at a recorded tick: within the schedule, and the pause or bounds by hand, of that moment."""
        inputs = recorded.fields["inputs"]
        around = {name: inputs[name] for name in WRAPPERS if inputs.get(name)}
        context = _recorded_context(policy_context(self.settings), recorded, inputs["parameters"])
        # A schedule takes its time to be read, and mostly stays what it is from tick to tick.
        key = (orjson.dumps(around), context)
        if key not in self._policies:
            built = build_policy(
                self.expression,
                context,
                tick_seconds=self.recorded_seconds,
                defaults={"hpa": self.settings.autoscaler.hpa.model_dump()},
            )
            try:
                self._policies[key] = wrap_as_recorded(built.policy, built.parameters, around)
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"line {recorded.line}: is not a decision: {error!r}") from error
        return self._policies[key]


def recorded_tick_seconds(decisions: Sequence[RecordedDecision]) -> float | None:
    """From one tick to the next: as the policy was told, else in the median; None if nothing tells.

    Ticks at no replica are left out: they come each second, whatever the policy's are apart.
    """
    told = decisions[0].fields["inputs"]["parameters"].get("tick_seconds") if decisions else None
    if isinstance(told, int | float) and told > 0:
        return float(told)
    gaps = [
        after.now - before.now
        for before, after in pairwise(decisions)
        if not starts_new_run(before, after) and before.fields["desired"] > 0
    ]
    # Each is late by some milliseconds, and Ray Serve's delays are a whole number of ticks.
    return (round(median(gaps), 1) or None) if gaps else None


def _recorded_context(
    context: PolicyContext, recorded: RecordedDecision, parameters: Mapping[str, Any]
) -> PolicyContext:
    """What it was for where this was decided, whatever the settings say here."""
    told = {name: parameters[name] for name in CONTEXT_PARAMETERS if name in parameters}
    if {"min", "max"} <= parameters.keys():
        told["bounds"] = Bounds(parameters["min"], parameters["max"])
    most = parameters.get("most_slots")
    return replace(context, **told, slots=recorded.own_slots, most_slots=most)
