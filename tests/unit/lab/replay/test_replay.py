"""Replay of invalid events. Valid ones are in test_command.py and autoscaler/test_every_policy.py."""

from typing import Any

import pytest

from tidegate.lab.replay.replay import replay

HPA = {"policy": "hpa", "inputs": {"parameters": {"min": 1, "max": 2}}}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"tidegate": None},
        {"tidegate": {"decision": {}}},
        {"tidegate": {"decision": {"policy": "hpa", "inputs": None}}},
        {"tidegate": {"decision": {**HPA, "state": {}, "signals": {"luck": 7}, "now": 0.0}}},
    ],
)
def test_an_event_that_is_not_a_decision_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="this event is not a decision"):
        replay(event)
