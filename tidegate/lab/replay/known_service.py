"""What a recorded policy knew of the service, as the initial state of another policy.

The start-up times of replicas, the time of requests in a slot and the slots of a replica are properties of
the service, whatever the policy. Without them, the other policy would decide with its initial values
(replicas that need 30 s to start) where the recorded one had measured them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tidegate.autoscaler.policy_expression import Expression, parse
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
    other = parse(expression)
    state = _state_with(known, other)
    if other.options.get("predictive", _prepares(first)):
        state = {"inner": state}
    return {"inner": state} if first.fields["inputs"].get("zero") else state


def known_service(recorded: RecordedDecision) -> SloqState | None:
    """What the recorded policy knew of the service: SLOQ's state within its own; None if it has none."""
    known = (SloqState.from_json(dict(one)) for one in _mappings(recorded.fields["state"]))
    return next((state for state in known if state.seen), None)


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping within a state of JSON types, the outer ones first."""
    left = deque([value])  # no recursion: a recorded state may be nested as deep as JSON can be
    while left:
        one = left.popleft()
        if isinstance(one, Mapping):
            yield one
            left += one.values()
        elif isinstance(one, list):
            left += one


def _prepares(recorded: RecordedDecision) -> bool:
    return "predictive" in recorded.fields["inputs"]["parameters"]


def measured_startups(decisions: Sequence[RecordedDecision]) -> tuple[float, ...]:
    """The start-up times of replicas in seconds: the last that the resizer measured.

    Else those known at the first decision, and those seen since, which ticks round up.
    """
    for one in reversed(decisions):
        if one.signals.startups:
            return tuple(one.signals.startups)
    known = known_service(decisions[0]) if decisions else None
    state = SloqState(startups=known.startups if known else ())
    for one in decisions:
        if one.signals.running <= 0:
            continue  # the resizer was away
        learned = learn_replicas(state, one.signals.ready, one.signals.running, one.now)
        state = state.model_copy(update={**learned, "now": one.now})
    return state.startups


def _state_with(service: dict[str, Any], expression: Expression) -> dict[str, Any]:
    """The initial state of a policy that knows this of the service; empty if it does not use that."""
    if expression.parts:
        return {"parts": [_state_with(service, part) for part in expression.parts]}
    return {"sloq": service, "surge": {"inner": service}}.get(expression.name, {})
