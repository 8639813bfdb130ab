"""The processes of a predictor are replaced, and how soon one that cannot start is tried again."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from support.eventually import eventually
from tidegate.service.model.python_runtime import in_processes
from tidegate.service.model.python_runtime.hosting import Hosting
from tidegate.service.model.signature import Signature


def test_a_process_that_cannot_start_again_is_tried_after_longer_and_longer_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_end, pauses = threading.Event(), []

    class StartsOnce:
        pid = 1
        started = 0

        def __init__(self, *_: object) -> None:
            StartsOnce.started += 1
            if StartsOnce.started > 1:
                raise OSError("no memory")

        def wait_loaded(self) -> None:
            pass

        def wait_ended(self) -> None:
            may_end.wait(30)

        def ending(self) -> str:
            return "it ended"

        def kill(self) -> None:
            may_end.set()

    class Closed(threading.Event):
        """Set by the ninth pause, each of which passes at once."""

        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout)
            if len(pauses) == 9:
                self.set()
            return self.is_set()

    monkeypatch.setattr(in_processes, "Worker", StartsOnce)
    signature = Signature(task="values", input="rows", runtime="python", predictor="shop:Price")
    predictor: Any = in_processes.ProcessPredictor(signature, Hosting())
    assert predictor.problem == ""
    predictor._closed = Closed()
    try:
        may_end.set()
        eventually(predictor._closed.is_set, "it has been tried nine times")
        assert predictor.problem.endswith("a process of the predictor cannot be started: no memory")
    finally:
        predictor.close()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
