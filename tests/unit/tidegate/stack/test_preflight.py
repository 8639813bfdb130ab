"""What stands against a start is told before anything is started."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.settings import load
from tidegate.stack.preflight import policy_problem, replicas_problem


@pytest.mark.parametrize("policy", ["surge", "vertical:most_factor=3"])
def test_a_policy_that_changes_slots_wants_to_know_how_many_there_may_be(policy: str) -> None:
    assert policy_problem(load(autoscaler={"policy": policy}, slots={"per_replica": 3})) == (
        f"autoscaler.policy: {policy!r} changes the slots of replicas: set slots.max above"
        " slots.per_replica, which is 3, or take another policy"
    )


@pytest.mark.parametrize(
    "sections",
    [
        {"autoscaler": {"policy": "surge"}, "slots": {"max": 4}},
        {"autoscaler": {"policy": "surge", "enabled": False}},
        {"autoscaler": {"policy": "sloq"}},
    ],
)
def test_otherwise_there_is_no_problem(sections: dict[str, Any]) -> None:
    assert policy_problem(load(**sections)) == ""


@pytest.mark.parametrize(
    ("start", "autoscaler", "said"),
    [
        (0, {}, ""),
        (1, {"enabled": False}, ""),
        (0, {"enabled": False}, "with 0 and autoscaler.enabled = false nobody"),
        (0, {"dry_run": True}, "with 0 and autoscaler.dry_run = true nobody"),
    ],
)
def test_a_stack_that_would_never_have_a_replica_does_not_start(
    start: int, autoscaler: dict[str, bool], said: str
) -> None:
    problem = replicas_problem(load(replicas={"min": 0, "start": start}, autoscaler=autoscaler))
    assert said in problem
    assert bool(problem) == bool(said)
