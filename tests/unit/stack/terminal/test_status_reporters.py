"""What is reported to a person, or to the process that waits for the start."""

from __future__ import annotations

import io
import json
import os
from dataclasses import asdict

from rich.console import Console

from tidegate.runtime.event_log import Entry
from tidegate.stack.terminal.status_reporters import PipeStatusReporter, PlainStatusReporter

ENTRY = Entry(at=1.0, level="info", component="gateway", action="start", message="started [as] 7")


def test_a_plain_face_prints_what_happens_word_for_word() -> None:
    console = Console(file=io.StringIO(), width=200)
    reporter = PlainStatusReporter(console)
    reporter.entry(ENTRY)
    reporter.failed("no [model] there")
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[0].endswith("gateway     started [as] 7")
    assert lines[1] == "no [model] there"


def test_who_waits_for_the_start_gets_it_through_the_pipe_and_then_its_end() -> None:
    read_end, write_end = os.pipe()
    reporter = PipeStatusReporter(
        os.fdopen(write_end, "w"), PlainStatusReporter(Console(file=io.StringIO()))
    )
    reporter.entry(ENTRY)
    reporter.failed("why")
    reporter.entry(ENTRY)  # the other process no longer reads
    with os.fdopen(read_end) as pipe:
        told = [json.loads(line) for line in pipe]
    assert told == [{"entry": asdict(ENTRY)}, {"failed": "why"}]


def test_who_no_longer_waits_does_not_stop_the_stack() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    reporter = PipeStatusReporter(
        os.fdopen(write_end, "w"), PlainStatusReporter(Console(file=io.StringIO()))
    )
    reporter.entry(ENTRY)
    reporter.entry(ENTRY)
    reporter.close()
