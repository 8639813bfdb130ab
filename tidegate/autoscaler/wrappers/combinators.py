"""Policies made of policies: the largest, the smallest, and bounds around one.

Each part gets the same signals and keeps its own state, so what is composed is a policy itself and
can be composed again. `words.py` has the words for it: `max(sloq,hpa:inflight=0.7)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, TypeAlias

from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, format_change

Parts: TypeAlias = Mapping[str, Policy]
"""Policies by their words."""


def largest(parts: Parts, parameters: Mapping[str, Any]) -> Policy:
    """The part that wants most decides: each can add replicas, none can take them from another.

    Args:
        parts: what it is made of.
        parameters: what stands in the inputs for a replay to make the parts again from.
    """
    return _choose(parts, parameters, max)


def smallest(parts: Parts, parameters: Mapping[str, Any]) -> Policy:
    """The part that wants fewest decides; the arguments are those of `largest`."""
    return _choose(parts, parameters, min)


COMBINATORS: Final[Mapping[str, Callable[[Parts, Mapping[str, Any]], Policy]]] = {
    "max": largest,
    "min": smallest,
}


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
            f"{format_change(held, desired)}: {by} from {bounds.min} to {bounds.max};"
            f" else {decision.desired} ({decision.explanation})"
        ),
        inputs={**decision.inputs, "bounded": {"by": by, **asdict(bounds)}},
        state=decision.state,
        slots=decision.slots,
    )


def _choose(parts: Parts, parameters: Mapping[str, Any], pick: Callable[..., str]) -> Policy:
    if not parts:
        raise ValueError("a composed policy needs at least one part")
    recorded_parameters = dict(parameters)

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        states = _states(state, len(parts))
        decisions = {
            name: policy(own, signals, now)
            for own, (name, policy) in zip(states, parts.items(), strict=True)
        }
        # Of equals the first one named decides, so that the words do not flicker.
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
                "parts": [_told(name, one) for name, one in decisions.items()],
                "parameters": recorded_parameters,
            },
            state={"parts": [one.state for one in decisions.values()]},
            slots=decision.slots,
        )

    return decide


def _told(name: str, decision: Decision) -> dict[str, Any]:
    """What a part decided; its parameters are among those of the whole."""
    own = {key: value for key, value in decision.inputs.items() if key != "parameters"}
    return {
        "policy": name,
        "desired": decision.desired,
        "reason": decision.reason,
        "inputs": own,
    }


def _states(state: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Each part's own state; empty where there is none."""
    kept = state.get("parts")
    if not isinstance(kept, list) or len(kept) != count:
        return [{} for _ in range(count)]
    return [part if isinstance(part, dict) else {} for part in kept]
