"""What a recorded policy knew of the service, as the initial state of another policy.

The start-up times of replicas, the time of requests in a slot and the slots of a replica are properties of
the service, whatever the policy. Without them, the other policy would decide with its initial values
(replicas that need 30 s to start) where the recorded one had measured them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.autoscaler.policy_expression import options_of, parse_composition, policy_name_of
from tidegate.autoscaler.policy_registry import POLICIES
from tidegate.autoscaler.sloq.correct import learn_replicas
from tidegate.autoscaler.sloq.state import SloqState
from tidegate.lab.replay.decisions import RecordedDecision

# Fields of SLOQ's state without times, which hold for any policy.
SERVICE_FIELDS: Final = {"service_seconds", "service_seconds_p95", "startups", "occupancy"}


def initial_state(decisions: Sequence[RecordedDecision], expression: str) -> dict[str, Any]:
    """The state in which a policy with this expression begins at the first of these decisions.

    Empty if the recorded policy began there as well: it knew nothing either.
    """
    if not decisions or not decisions[0].fields["state"]:
        return {}
    first = decisions[0]
    service = known_service(first) or SloqState(startups=measured_startups(decisions))
    known = service.model_dump(mode="json", include=SERVICE_FIELDS, exclude_defaults=True)
    state = _state_with(known, expression)
    if options_of(expression).get("predictive", _prepares(first)):
        state = {"inner": state}
    return {"inner": state} if first.fields["inputs"].get("zero") else state


def known_service(recorded: RecordedDecision) -> SloqState | None:
    """What the recorded policy knew of the service; None if its state does not contain that."""
    state: Mapping[str, Any] = recorded.fields["state"]
    for wrapped in (recorded.fields["inputs"].get("zero"), _prepares(recorded)):
        state = _mapping(state.get("inner")) if wrapped else state
    found = _sloq_state(state, recorded.fields["policy"])
    known = SloqState.from_json(dict(found)) if found else SloqState()
    return known if known.now is not None else None


def _prepares(recorded: RecordedDecision) -> bool:
    return "predictive" in recorded.fields["inputs"]["parameters"]


def measured_startups(decisions: Sequence[RecordedDecision]) -> tuple[float, ...]:
    """The start-up times of replicas: those known at the first decision, and those seen since, in seconds."""
    known = known_service(decisions[0]) if decisions else None
    state = SloqState(startups=known.startups if known else ())
    for one in decisions:
        if one.signals.running <= 0:
            continue  # the resizer was away
        learned = learn_replicas(state, one.signals.ready, one.signals.running, one.now)
        state = state.model_copy(update={**learned, "now": one.now})
    return state.startups


def _sloq_state(state: Mapping[str, Any], expression: str) -> Mapping[str, Any]:
    """SLOQ's state in that of a policy, in a composition of its first part that has one; else empty."""
    if composition := parse_composition(expression):
        states = state.get("parts")
        parts = zip(states if isinstance(states, list) else (), composition.parts, strict=False)
        found = (_sloq_state(_mapping(part), own) for part, own in parts)
        return next((one for one in found if one), {})
    place = _place(expression)
    if place == "whole":
        return state
    return _mapping(state.get("inner")) if place == "inner" else {}


def _state_with(service: dict[str, Any], expression: str) -> dict[str, Any]:
    """The initial state of a policy that knows this of the service; empty if it does not use that."""
    if composition := parse_composition(expression):
        return {"parts": [_state_with(service, part) for part in composition.parts]}
    place = _place(expression)
    if place == "whole":
        return service
    return {"inner": service} if place == "inner" else {}


def _place(expression: str) -> str | None:
    policy_type = POLICIES.get(policy_name_of(expression))
    return policy_type.sloq_state if policy_type else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
