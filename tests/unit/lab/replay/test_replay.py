"""Replay of invalid events. Valid ones are in test_command.py."""

from pathlib import Path
from typing import Any

import pytest

from support.harnesses.autoscaler_run import RecordedEvents
from tidegate.autoscaler.live.configured_policy import configured_policy
from tidegate.autoscaler.types import Signals
from tidegate.lab.replay.replay import replay
from tidegate.settings import Settings

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


def test_a_decision_within_a_schedule_replays(tmp_path: Path) -> None:
    recorded_events = RecordedEvents(tmp_path)
    window = {"cron": "0 8 * * mon", "minutes": 60, "min": 4}
    built = configured_policy(Settings.model_validate({"autoscaler": {"schedule": [window]}}))
    seen = Signals(0.0, None, 0.0, 2, 1, 1, 1, None, 0.5, unix_seconds=1_772_438_400.0)
    decision = built.policy({}, seen, 5.0)
    recorded_events.record(built.expression, {}, seen, 5.0, decision)
    [event] = recorded_events.events("decision")
    assert decision.desired == 4
    assert replay(event) == decision


def test_an_unknown_recorded_policy_is_named() -> None:
    event = {"tidegate": {"decision": {"policy": "oracle", "inputs": {"parameters": {}}}}}
    with pytest.raises(ValueError, match="unknown policy 'oracle'"):
        replay(event)
