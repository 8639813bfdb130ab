"""The state of the stack, and the pause in its status."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from support.samples.statuses import program_status
from tidegate.autoscaler.live.override import Override, OverrideFile
from tidegate.settings import load
from tidegate.stack.supervisor.status import pause_status, stack_state, stack_status


@pytest.mark.parametrize(
    ("components", "replicas", "minimum", "problem", "ready"),
    [
        (["ready"], ["ready"], 1, "", True),
        (["ready"], ["ready", "starting", "draining"], 1, "", True),
        (["ready"], ["ready", "failed"], 1, "", False),
        (["ready"], ["starting"], 1, "", False),
        (["ready"], [], 1, "", False),
        (["ready", "failed"], ["ready"], 1, "", False),
        (["starting"], ["ready"], 1, "", False),
        (["ready"], ["ready"], 1, "the disk is full", False),
        # Requests wait for the first replica.
        (["ready"], [], 0, "", True),
        (["ready"], ["starting"], 0, "", True),
        (["ready"], ["failed"], 0, "", False),
    ],
)
def test_a_stack_is_degraded_by_what_failed_or_serves_nobody(
    components: list[str], replicas: list[str], minimum: int, problem: str, *, ready: bool
) -> None:
    state = stack_state(
        [program_status("a", one) for one in components],
        [program_status("b", one) for one in replicas],
        minimum,
        problem=problem,
    )
    assert state == ("ready" if ready else "degraded")


def test_what_is_known_of_a_stack_wins_over_what_its_replicas_say(tmp_path: Path) -> None:
    settings = load(stack={"data_dir": tmp_path})
    replicas = [program_status("a", "ready"), program_status("b", "starting")]
    known: dict[str, Any] = {"desired": 5, "running": 4}
    for own, desired, running in (({}, 1, 2), (known, 5, 4)):
        found = stack_status(settings, [], replicas, gateway="g", prometheus="p", **own)
        assert (found.state, found.ready) == ("ready", 1)
        assert (found.desired, found.running) == (desired, running)
    full = stack_status(
        settings, [], replicas, problem="full", gateway="g", prometheus="p", slots=9
    )
    assert (full.state, full.problem) == ("degraded", "full")
    assert (full.slots, full.own_slots) == (9, settings.slots.per_replica)


def test_the_pause_in_force_is_part_of_the_status(tmp_path: Path) -> None:
    settings = load(stack={"data_dir": tmp_path})
    assert pause_status(settings) is None
    until = time.time() + 600
    OverrideFile(settings.control_file).write(Override(until, 3, None))
    found = stack_status(settings, [], [], gateway="g", prometheus="p").pause
    assert found
    assert (found.until, found.min, found.max) == (until, 3, None)
    assert found.words.startswith("manual bounds until ")
    assert pause_status(load(stack={"data_dir": tmp_path}, autoscaler={"enabled": False})) is None
    OverrideFile(settings.control_file).write(Override(time.time() - 1))
    assert pause_status(settings) is None
