"""Another policy in the place of the one that decided: for the same, within the same, as often."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import Any, Final

import orjson

from tidegate.autoscaler.audit.decisions import Decided
from tidegate.autoscaler.audit.replay import surrounded
from tidegate.autoscaler.audit.what_if import begins_anew
from tidegate.autoscaler.live.configured_policy import goal
from tidegate.autoscaler.policy_builder import check_live, choose
from tidegate.autoscaler.policy_expression import PolicyError
from tidegate.autoscaler.policy_registry import Goal
from tidegate.autoscaler.types import Bounds, Policy
from tidegate.settings import Settings

# What a recorded policy may have been told that another one is told too.
OBJECTIVE: Final = ("slo_seconds", "slo_quantile", "stale_seconds")
AROUND: Final = ("zero", "schedule", "control")


@dataclass(frozen=True, slots=True)
class Another:
    """A policy by its words, as it would have been made where a recording comes from.

    Attributes:
        words: what it is named by.
        settings: what it is told where the recording does not say it.
        recorded_seconds: from one recorded tick to the next.
        tick_seconds: from one of its own to the next.
    """

    words: str
    settings: Settings
    recorded_seconds: float
    tick_seconds: float
    _made: dict[tuple[bytes, Goal], Policy] = field(default_factory=dict, init=False)

    @classmethod
    def over(cls, decisions: Sequence[Decided], words: str, settings: Settings) -> Another:
        """The policy of that name for these decisions.

        Raises:
            PolicyError: there is none, or it decides more often than was recorded.
        """
        check_live(words)
        recorded = recorded_tick_seconds(decisions) or settings.autoscaler.tick_seconds
        tick = choose(words, goal(settings), tick_seconds=recorded).tick_seconds
        if tick < recorded and not math.isclose(tick, recorded, rel_tol=0.01):
            raise PolicyError(
                f"policy {words!r}: tick must be {recorded:g} or more here: the recording has a tick each"
                f" {recorded:g} s, and nothing is known of what was between"
            )
        return cls(words, settings, recorded, tick)

    def policy_at(self, decided: Decided) -> Policy:
        """It at a recorded tick: within the schedule, and the pause or bounds by hand, of that moment."""
        inputs = decided.told["inputs"]
        around = {name: inputs[name] for name in AROUND if inputs.get(name)}
        own = _goal(goal(self.settings), decided, inputs["parameters"])
        # A schedule takes its time to be read, and mostly stays what it is from tick to tick.
        key = (orjson.dumps(around), own)
        if key not in self._made:
            choice = choose(
                self.words,
                own,
                tick_seconds=self.recorded_seconds,
                defaults={"hpa": self.settings.autoscaler.hpa.model_dump()},
            )
            try:
                self._made[key] = surrounded(choice.policy, choice.parameters, around)
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"line {decided.line}: is not a decision: {error!r}") from error
        return self._made[key]


def recorded_tick_seconds(decisions: Sequence[Decided]) -> float | None:
    """From one tick to the next: as the policy was told, else in the median; None if nothing tells.

    Ticks at no replica are left out: they come each second, whatever the policy's are apart.
    """
    told = decisions[0].told["inputs"]["parameters"].get("tick_seconds") if decisions else None
    if isinstance(told, int | float) and told > 0:
        return float(told)
    gaps = [
        after.now - before.now
        for before, after in pairwise(decisions)
        if not begins_anew(before, after) and before.told["desired"] > 0
    ]
    # Each is late by some milliseconds, and Ray Serve's delays are a whole number of ticks.
    return (round(median(gaps), 1) or None) if gaps else None


def _goal(own: Goal, decided: Decided, parameters: Mapping[str, Any]) -> Goal:
    """What it was for where this was decided, whatever the settings say here."""
    told = {name: parameters[name] for name in OBJECTIVE if name in parameters}
    if {"min", "max"} <= parameters.keys():
        told["bounds"] = Bounds(parameters["min"], parameters["max"])
    most = parameters.get("most_slots")
    return replace(own, **told, slots=decided.own_slots, most_slots=most)
