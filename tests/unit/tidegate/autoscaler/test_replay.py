"""Replay: what is said of an event that holds no decision. (Real ones: test_simulation.py.)"""

from typing import Any

import pytest

from tidegate.autoscaler.replay import replay


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"tidegate": None},
        {"tidegate": {"decision": {}}},
        {"tidegate": {"decision": {"policy": "hpa", "inputs": None}}},
        {
            "tidegate": {
                "decision": {
                    "policy": "hpa",
                    "inputs": {"parameters": {"min": 1, "max": 2}},
                    "state": {},
                    "signals": {"luck": 7},
                    "now": 0.0,
                }
            }
        },
    ],
)
def test_an_event_that_is_no_decision_is_said_to_be_none(event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="this event is not a decision"):
        replay(event)


def test_a_policy_that_is_not_known_here_is_named() -> None:
    event = {"tidegate": {"decision": {"policy": "oracle", "inputs": {"parameters": {}}}}}
    with pytest.raises(ValueError, match="there is no policy 'oracle'"):
        replay(event)
