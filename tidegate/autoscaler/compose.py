"""Policies made of policies: the largest, the smallest, and bounds around one.

Each part gets the same signals and keeps its own state, so what is composed is a policy itself and
can be composed again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals


def largest(parts: Mapping[str, Policy]) -> Policy:
    """The part that wants most decides: each can add replicas, none can take them from another."""
    return _choose(parts, max)


def smallest(parts: Mapping[str, Policy]) -> Policy:
    """The part that wants fewest decides."""
    return _choose(parts, min)


def bounded(policy: Policy, bounds: Bounds) -> Policy:
    """The policy, within these bounds."""

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        return clamped(policy(state, signals, now), bounds, signals.desired, "bounds")

    return decide


def clamped(decision: Decision, bounds: Bounds, held: int, by: str) -> Decision:
    """The decision within bounds, which `by` names in the words.

    The part's state is kept as it is: it says what the part wanted, and the next signals say what
    became of it.
    """
    desired = bounds.clamp(decision.desired)
    if desired == decision.desired:
        return decision
    moved = "limited" if desired == held else "up" if desired > held else "down"
    return Decision(
        desired=desired,
        reason=moved,
        explanation=(
            f"{held} → {desired}: {by} from {bounds.min} to {bounds.max};"
            f" else {decision.desired} ({decision.explanation})"
        ),
        inputs={**decision.inputs, "bounded": {"by": by, **asdict(bounds)}},
        state=decision.state,
        slots=decision.slots,
    )


def _choose(parts: Mapping[str, Policy], pick: Callable[..., str]) -> Policy:
    if not parts:
        raise ValueError("a composed policy needs at least one part")

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        decisions = {
            name: policy(_part(state, name), signals, now) for name, policy in parts.items()
        }
        # Of equals the first one named decides, so that the words do not flicker.
        chosen = pick(decisions, key=lambda name: decisions[name].desired)
        decision = decisions[chosen]
        return Decision(
            desired=decision.desired,
            reason=decision.reason,
            explanation=f"{chosen}: {decision.explanation}",
            inputs={
                "chosen": chosen,
                "parts": {
                    name: {"desired": part.desired, "reason": part.reason, "inputs": part.inputs}
                    for name, part in decisions.items()
                },
            },
            state={name: part.state for name, part in decisions.items()},
            slots=decision.slots,
        )

    return decide


def _part(state: dict[str, Any], name: str) -> dict[str, Any]:
    part = state.get(name)
    return part if isinstance(part, dict) else {}
