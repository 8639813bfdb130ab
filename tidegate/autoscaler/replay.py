"""A decision made again from its event: the same number, the same words, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.autoscaler.policies import policy_from_parameters
from tidegate.autoscaler.types import Decision, Signals


def replay(decision_event: Mapping[str, Any]) -> Decision:
    """Decide again what an event of dataset `tidegate.decision` says was decided.

    Pure: it needs nothing but the event. The new decision's state is the state that the next
    event of the same run was decided from.

    Raises:
        ValueError: the event is not of a decision, or of a policy that is not known here.
    """
    try:
        told = decision_event["tidegate"]["decision"]
        policy = policy_from_parameters(told["policy"], told["inputs"]["parameters"])
        return policy(told["state"], Signals(**told["signals"]), told["now"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"this event is not a decision: {error!r}") from error
