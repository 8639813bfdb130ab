"""The background loops of the supervisor."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from tidegate.settings import load
from tidegate.stack.supervisor.supervisor import running_stack


async def test_a_background_loop_that_raises_runs_again_and_the_status_counts_it(
    tmp_path: Path,
    eventually: Callable[..., Coroutine[None, None, None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    calls: list[int] = []

    async def fails_once() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("x")

    async with running_stack(load(stack={"data_dir": tmp_path / "data"})) as supervisor:
        supervisor._background("replicas", fails_once)
        await eventually(lambda: len(calls) == 2)
        status = supervisor.status()
        assert status.faults == 1
        assert "replicas" in [one.component for one in status.recent if one.action == "fault"]
