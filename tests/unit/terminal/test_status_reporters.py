"""The status reporters: plain lines, and the pipe to the parent process."""

from __future__ import annotations

import io
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually_async
from tidegate.runtime.event_log import Entry
from tidegate.settings import load
from tidegate.stack.replicas.served_versions import ServedVersions
from tidegate.stack.supervisor.supervisor import running_stack
from tidegate.terminal import status_reporters, status_view
from tidegate.terminal.status_reporters import (
    LiveStatusReporter,
    PipeStatusReporter,
    PlainStatusReporter,
)
from tidegate.terminal_console import Console

ENTRY = Entry(at=1.0, level="info", component="gateway", action="start", message="started [as] 7")


def test_the_plain_reporter_prints_entries_without_markup() -> None:
    console = Console(file=io.StringIO(), width=200)
    reporter = PlainStatusReporter(console)
    reporter.entry(ENTRY)
    reporter.failed("no [model] there")
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[0].endswith("gateway     started [as] 7")
    assert lines[1] == "no [model] there"


def test_the_parent_process_gets_the_start_through_the_pipe_until_it_closes() -> None:
    read_end, write_end = os.pipe()
    reporter = PipeStatusReporter(
        os.fdopen(write_end, "w"), PlainStatusReporter(Console(file=io.StringIO()))
    )
    reporter.entry(ENTRY)
    reporter.failed("why")
    reporter.entry(ENTRY)  # the parent process no longer reads
    with os.fdopen(read_end) as pipe:
        messages = [json.loads(line) for line in pipe]
    assert messages == [{"entry": asdict(ENTRY)}, {"failed": "why"}]


def test_a_parent_process_that_has_exited_does_not_stop_the_stack() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    console = Console(file=io.StringIO())
    reporter = PipeStatusReporter(os.fdopen(write_end, "w"), PlainStatusReporter(console))
    reporter.entry(ENTRY)
    reporter.entry(ENTRY)
    reporter.close()


async def test_a_live_view_that_raises_is_drawn_again_and_the_error_is_counted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    calls: list[int] = []
    asked: list[object] = []

    async def refresh(_: ServedVersions, processes: object) -> None:
        asked.append(processes)

    monkeypatch.setattr(ServedVersions, "refresh", refresh)
    draw = status_view.view

    def fails_once(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("x")
        return draw(*arguments)

    monkeypatch.setattr(status_reporters, "view", fails_once)
    console = Console(file=io.StringIO(), force_terminal=True)
    async with running_stack(load(stack={"data_dir": tmp_path / "data"})) as supervisor:
        async with LiveStatusReporter(console).watching(supervisor):
            await eventually_async(lambda: len(calls) > 1)
        assert supervisor.status().faults == 1
    assert asked  # for the versions of the replicas
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().endswith("stopped\n")
