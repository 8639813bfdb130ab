"""Replays a decision from its event: number, reason and explanation are the same, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.autoscaler.live.override import Override, apply_override
from tidegate.autoscaler.policy_builder import policy_from_parameters
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals
from tidegate.autoscaler.wrappers.scale_to_zero import ScaleToZeroParameters, scale_to_zero
from tidegate.autoscaler.wrappers.schedule import scheduled
from tidegate.settings.schedule import ScheduleWindow


def replay(decision_event: Mapping[str, Any]) -> Decision:
    """Replay the decision of an event of dataset `tidegate.decision`.

    Pure: it needs only the event. The state of the result is the recorded state of the next event of the same
    run.

    Raises:
        ValueError: the event is not a decision, or its policy is unknown.
    """
    try:
        decision = decision_event["tidegate"]["decision"]
        inputs = decision["inputs"]
        policy = policy_from_parameters(decision["policy"], inputs["parameters"])
        policy = wrap_as_recorded(policy, inputs["parameters"], inputs)
        return policy(decision["state"], Signals(**decision["signals"]), decision["now"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this event is not a decision: {error!r}") from error


def wrap_as_recorded(
    policy: Policy, parameters: Mapping[str, Any], inputs: Mapping[str, Any]
) -> Policy:
    """The policy in the recorded wrappers: scale to zero, schedule, and pause or manual bounds.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: these are not inputs of a decision.
    """
    if zero := inputs.get("zero"):
        policy = scale_to_zero(policy, parameters, ScaleToZeroParameters(**zero))
    if schedule := inputs.get("schedule"):
        windows = [ScheduleWindow(**window) for window in schedule["windows"]]
        policy = scheduled(policy, windows, Bounds(schedule["min"], schedule["max"]))
    if control := inputs.get("control"):
        own = {name: value for name, value in control.items() if name != "bounds"}
        policy = apply_override(policy, Override(**own), Bounds(**control["bounds"]))
    return policy
