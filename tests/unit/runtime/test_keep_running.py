"""Background loops that raise: reported, counted, and run again."""

from __future__ import annotations

import pytest

from support.harnesses.event_files import MemoryLog
from tidegate.runtime.keep_running import keep_running


async def test_a_loop_that_raises_is_reported_and_runs_again_with_growing_waits() -> None:
    failures = ["a", "b", "c", "d"]
    faults: list[tuple[str, str, float]] = []
    slept: list[float] = []

    async def run() -> None:
        if failures:
            raise ValueError(failures.pop(0))

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await keep_running(
        "replicas", run, lambda name, error, wait: faults.append((name, str(error), wait)), sleep
    )
    assert [(name, text) for name, text, _ in faults] == [("replicas", one) for one in "abcd"]
    assert slept == [wait for *_, wait in faults]
    assert 0.25 <= slept[0] <= 0.5
    assert slept[0] < slept[3] <= 4


def test_a_fault_is_an_event_with_its_stack_and_is_counted() -> None:
    events = MemoryLog("stack")
    log = events.log
    with pytest.raises(ValueError, match="no such index") as raised:
        _raise_error()
    log.fault("slots", raised.value, 0.5)
    log.fault("rollout", raised.value)
    first, second = events.events()
    assert first["message"] == (
        "slots: failed unexpectedly, and runs again in 0.5 s: ValueError('no such index')"
    )
    assert second["message"] == "rollout: failed unexpectedly: ValueError('no such index')"
    assert (first["event"]["action"], first["log"]["level"]) == ("fault", "error")
    assert (first["error"]["type"], first["error"]["message"]) == ("ValueError", "no such index")
    assert "test_keep_running.py" in first["error"]["stack_trace"]
    assert log.faults == 2


def _raise_error() -> None:
    raise ValueError("no such index")
