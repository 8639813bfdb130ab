"""The status reporters: plain lines, and the pipe to the parent process."""

from __future__ import annotations

import io
import json
import os
import threading
from dataclasses import asdict

from tidegate.runtime.event_log import Entry
from tidegate.terminal.status_reporters import PipeStatusReporter, PlainStatusReporter
from tidegate.terminal_console import Console

ENTRY = Entry(at=1.0, level="info", component="gateway", action="start", message="started [as] 7")


def test_the_plain_reporter_prints_entries_without_markup() -> None:
    console = Console(file=io.StringIO(), width=200)
    reporter = PlainStatusReporter(console)
    reporter.entry(ENTRY)
    reporter.failed("no [model] there")
    reporter.printer.shutdown()
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[0].endswith("gateway     started [as] 7")
    assert lines[1] == "no [model] there"


class StoppedTerminal(io.StringIO):
    """One that Ctrl-S has stopped, until Ctrl-Q."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()

    def write(self, text: str) -> int:
        self.goes_on.wait(10)
        return super().write(text)


def test_a_stopped_terminal_does_not_stop_the_caller_and_gets_the_lines_later() -> None:
    terminal = StoppedTerminal()
    reporter = PlainStatusReporter(Console(file=terminal, width=200))
    reporter.entry(ENTRY)
    reporter.failed("why")
    assert terminal.getvalue() == ""
    terminal.goes_on.set()
    reporter.printer.shutdown()
    first, last = terminal.getvalue().splitlines()
    assert first.endswith("started [as] 7")
    assert last == "why"


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
