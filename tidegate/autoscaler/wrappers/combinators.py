"""Combine policies: the maximum or minimum of several, and a decision within bounds.

Each part gets the same signals and keeps its own state, so a composition is itself a policy, written as
`max(sloq,hpa:inflight=0.7)`; see `policy_expression.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, TypeAlias

from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, format_change

Parts: TypeAlias = Mapping[str, Policy]
"""Policies by their expressions."""


# The part with the largest number decides: each can add replicas, none can remove another's. Or the smallest.
COMBINATORS: Final[Mapping[str, Callable[..., str]]] = {"max": max, "min": min}


def clamped(decision: Decision, bounds: Bounds, current: int, by: str) -> Decision:
    """The decision within bounds; `by` names them in the explanation.

    The state is left as it is: it holds what the policy wanted, and the next signals show what was applied.
    """
    desired = bounds.clamp(decision.desired)
    if desired == decision.desired:
        return decision
    moved = "limited" if desired == current else "up" if desired > current else "down"
    return Decision(
        desired=desired,
        reason=moved,
        explanation=(
            f"{format_change(current, desired)}: {by} from {bounds.min} to {bounds.max};"
            f" else {decision.desired} ({decision.explanation})"
        ),
        inputs={**decision.inputs, "bounded": {"by": by, **asdict(bounds)}},
        state=decision.state,
        slots=decision.slots,
    )


def combined(by: str, parts: Parts, parameters: Mapping[str, Any]) -> Policy:
    """The policy in which one of the parts decides at each tick.

    The parameters are recorded in the inputs, so that a replay can build the parts again.
    """
    pick = COMBINATORS[by]
    recorded_parameters = dict(parameters)

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        states = _states(state, len(parts))
        decisions = {
            name: policy(own, signals, now)
            for own, (name, policy) in zip(states, parts.items(), strict=True)
        }
        # If several are equal, the first decides, so that the explanation is stable.
        chosen = pick(decisions, key=lambda name: decisions[name].desired)
        decision = decisions[chosen]
        others = [
            f"{name} wants {one.desired}" for name, one in decisions.items() if name != chosen
        ]
        return Decision(
            desired=decision.desired,
            reason=decision.reason,
            explanation="; ".join([f"{chosen}: {decision.explanation}", ", ".join(others)]),
            inputs={
                "chosen": chosen,
                "parts": [_record_part(name, one) for name, one in decisions.items()],
                "parameters": recorded_parameters,
            },
            state={"parts": [one.state for one in decisions.values()]},
            slots=decision.slots,
        )

    return decide


def _record_part(name: str, decision: Decision) -> dict[str, Any]:
    """The decision of a part; its parameters are among those of the composition."""
    own = {key: value for key, value in decision.inputs.items() if key != "parameters"}
    return {
        "policy": name,
        "desired": decision.desired,
        "reason": decision.reason,
        "inputs": own,
    }


def _states(state: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The state of each part; empty if there is none."""
    states = state.get("parts")
    if not isinstance(states, list) or len(states) != count:
        return [{} for _ in range(count)]
    return [part if isinstance(part, dict) else {} for part in states]
