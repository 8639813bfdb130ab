"""A component that reports what it does goes on when its report cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import pytest
from rich.console import Console

from tidegate.autoscaler import journal as autoscaler
from tidegate.collector import journal as collector
from tidegate.drift import watch_run
from tidegate.drift.detect import Change
from tidegate.drift.watch import Found
from tidegate.events import EventWriter, Origin
from tidegate.exporter.backend import Tellings
from tidegate.resizer.compose import journal as resizer
from tidegate.settings import load
from tidegate.stack.faces import LiveFace, PipeFace, PlainFace
from tidegate.stack.journal import Entry, Journal

ORIGIN = Origin("flights", "1.2.3", "local", "unit", "unit")
ENTRY = Entry(at=1.0, level="info", component="gateway", action="start", message="started")
CHANGE = Found(("flights", "1"), "adwin", Change(0.1, 0.2), 7, 0, "id")


@pytest.fixture(params=["full disk", "nobody reads", "closed"])
def failing(request: pytest.FixtureRequest) -> Iterator[TextIO]:
    """A stream that takes nothing."""
    if request.param == "full disk":
        stream: TextIO = Path("/dev/full").open("w")  # noqa: SIM115
    else:
        listen, tell = os.pipe()
        os.close(listen)
        stream = os.fdopen(tell, "w")
    if request.param == "closed":
        stream.close()
    yield stream
    with suppress(OSError):
        stream.close()


def _collector(stream: TextIO, writer: EventWriter) -> None:
    collector.Journal(writer, ORIGIN, terminal=stream).say("start", "delivering")


def _autoscaler(stream: TextIO, writer: EventWriter) -> None:
    autoscaler.Journal(writer, ORIGIN, terminal=stream).trouble("signals", "none")


def _resizer(stream: TextIO, writer: EventWriter) -> None:
    del writer
    resizer.Journal(ORIGIN, out=stream.buffer).note("start", "x" * 10_000)


def _exporter(stream: TextIO, writer: EventWriter) -> None:
    del writer
    Tellings(stream).trouble("logstash", "is away")


def _watch(stream: TextIO, writer: EventWriter) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        watch_run._teller(writer, ORIGIN)(CHANGE)


def _plain(stream: TextIO, writer: EventWriter) -> None:
    del writer
    face = PlainFace(Console(file=stream))
    for _ in range(1000):
        face.entry(ENTRY)
    face.failed("why")
    assert not face.console._buffer, "what cannot be written is not kept"


def _live(stream: TextIO, writer: EventWriter) -> None:
    del writer
    LiveFace(Console(file=stream)).failed("why")


@pytest.mark.parametrize(
    "tell", [_collector, _autoscaler, _resizer, _exporter, _watch, _plain, _live]
)
def test_a_report_that_cannot_be_written_raises_nothing(
    failing: TextIO, tmp_path: Path, tell: Callable[[TextIO, EventWriter], None]
) -> None:
    writer = EventWriter(tmp_path, "unit")
    tell(failing, writer)
    writer.close()


def test_a_listener_that_fails_does_not_stop_the_journals_caller(tmp_path: Path) -> None:
    journal = Journal.of(load(stack={"data_dir": tmp_path}))
    heard: list[Entry] = []

    def fail(_: Entry) -> None:
        raise RuntimeError

    journal.listeners += [fail, heard.append]
    journal.note("start", "started")
    assert len(heard) == 1
    journal.close()


def test_the_process_that_waits_is_told_when_the_supervisors_output_fails() -> None:
    listen, tell = os.pipe()
    with Path("/dev/full").open("w") as full:
        face = PipeFace(os.fdopen(tell, "w"), PlainFace(Console(file=full)))
        face.entry(ENTRY)
        face.failed("no model")
        with os.fdopen(listen) as pipe:
            assert [list(json.loads(line)) for line in pipe] == [["entry"], ["failed"]]
        with suppress(OSError):
            full.close()


def test_a_process_whose_reader_has_gone_ends_as_if_it_had_been_read() -> None:
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
