"""A component continues when its output cannot be written."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, TextIO

from tidegate.runtime.event_log import Entry
from tidegate.terminal.status_reporters import PlainStatusReporter
from tidegate.terminal_console import Console

ENTRY = Entry(at=1.0, level="info", component="gateway", action="start", message="started")


def test_a_status_report_that_cannot_be_written_raises_nothing(failing: TextIO) -> None:
    reporter = PlainStatusReporter(Console(file=failing))
    for _ in range(1000):
        reporter.entry(ENTRY)
    reporter.failed("why")
    kept = reporter.printer.submit(lambda: [*reporter.console._buffer])  # each thread has its own
    assert kept.result() == [], "what cannot be written is kept"


def test_a_closed_pipe_does_not_change_the_exit_code() -> None:
    program = """
import sys, time
from tidegate.runtime.terminal_output import write_or_discard
sys.stdin.readline()
for number in range(3):
    write_or_discard(sys.stdout, f"{number}\\n")
"""
    process: subprocess.Popen[Any] = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stdin.write(b"\n")
    process.stdin.close()
    assert (process.wait(timeout=60), process.stderr.read()) == (0, b"")
    process.stderr.close()
