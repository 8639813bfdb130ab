"""The state of the stack, and the pause in its status."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tidegate.autoscaler.live.override import Override, OverrideFile
from tidegate.settings import load
from tidegate.stack.supervisor.status import ProgramStatus, pause_status, stack_state


def program(name: str, state: str, **more: object) -> ProgramStatus:
    fields = {
        "pid": 11,
        "started_at": 1000.0,
        "ready_at": 1001.0,
        "restarts": 0,
        "address": "http://127.0.0.1:1",
        "problem": "",
    }
    return ProgramStatus.model_validate({"id": name, "state": state, **fields, **more})


@pytest.mark.parametrize(
    ("components", "replicas", "state"),
    [
        (["ready"], ["ready"], "ready"),
        (["ready"], ["ready", "starting", "draining"], "ready"),
        (["ready"], ["ready", "failed"], "degraded"),
        (["ready"], ["starting"], "degraded"),
        (["ready"], [], "degraded"),
        (["ready", "failed"], ["ready"], "degraded"),
        (["starting"], ["ready"], "degraded"),
    ],
)
def test_a_stack_is_ready_if_nothing_failed_and_a_replica_is_ready(
    components: list[str], replicas: list[str], state: str
) -> None:
    assert (
        stack_state(
            [program("a", one) for one in components], [program("b", one) for one in replicas]
        )
        == state
    )


def test_a_problem_of_the_whole_stack_degrades_it() -> None:
    ready = [program("a", "ready")]
    assert stack_state(ready, ready, problem="the disk is full") == "degraded"


def test_with_a_minimum_of_zero_a_stack_without_replicas_is_ready() -> None:
    gateway = [program("gateway", "ready")]
    assert stack_state(gateway, [], 0) == "ready"
    assert stack_state(gateway, [program("b", "starting")], 0) == "ready"
    assert stack_state(gateway, [program("b", "failed")], 0) == "degraded"


def test_the_pause_in_force_is_part_of_the_status(tmp_path: Path) -> None:
    settings = load(stack={"data_dir": tmp_path})
    assert pause_status(settings) is None
    until = time.time() + 600
    OverrideFile(settings.control_file).write(Override(until, 3, None))
    found = pause_status(settings)
    assert found
    assert (found.until, found.min, found.max) == (until, 3, None)
    assert found.words.startswith("manual bounds until ")
    assert pause_status(load(stack={"data_dir": tmp_path}, autoscaler={"enabled": False})) is None
    OverrideFile(settings.control_file).write(Override(time.time() - 1))
    assert pause_status(settings) is None
