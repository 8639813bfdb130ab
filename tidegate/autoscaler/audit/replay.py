"""A decision made again from its event: the same number, the same words, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.autoscaler.live.override import Override, apply_override
from tidegate.autoscaler.policy_builder import policy_from_parameters
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals
from tidegate.autoscaler.wrappers.scale_to_zero import ScaleToZeroParameters, scale_to_zero
from tidegate.autoscaler.wrappers.schedule import Window, scheduled


def replay(decision_event: Mapping[str, Any]) -> Decision:
    """Decide again what an event of dataset `tidegate.decision` says was decided.

    Pure: it needs nothing but the event. The new decision's state is the state that the next
    event of the same run was decided from.

    Raises:
        ValueError: the event is not of a decision, or of a policy that is not known here.
    """
    try:
        told = decision_event["tidegate"]["decision"]
        inputs = told["inputs"]
        policy = policy_from_parameters(told["policy"], inputs["parameters"])
        policy = wrap_as_recorded(policy, inputs["parameters"], inputs)
        return policy(told["state"], Signals(**told["signals"]), told["now"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this event is not a decision: {error!r}") from error


def wrap_as_recorded(
    policy: Policy, parameters: Mapping[str, Any], inputs: Mapping[str, Any]
) -> Policy:
    """The policy within all that was around the one that decided: zero, schedule, pause and bounds by hand.

    Args:
        policy: what decides inside.
        parameters: of that policy.
        inputs: of the decision whose surroundings it is to have.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: they are no inputs of a decision.
    """
    if zero := inputs.get("zero"):
        policy = scale_to_zero(policy, parameters, ScaleToZeroParameters(**zero))
    if schedule := inputs.get("schedule"):
        windows = [Window(**window) for window in schedule["windows"]]
        policy = scheduled(policy, windows, Bounds(schedule["min"], schedule["max"]))
    if control := inputs.get("control"):
        own = {name: value for name, value in control.items() if name != "bounds"}
        policy = apply_override(policy, Override(**own), Bounds(**control["bounds"]))
    return policy
