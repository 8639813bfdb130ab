"""The event log: events in files or on a stream, entries for listeners; it never raises."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TextIO

import pytest

from support.harnesses.event_files import START_NS, MemoryLog, events_in
from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter
from tidegate.runtime.event_log import Entry, EventLog, StreamWriter, Terminal, Writer
from tidegate.settings import load

ORIGIN = Origin("flights", "1.2.3", "local", "collector", "unit")


def memory_log(dataset: str = "collector") -> MemoryLog:
    return MemoryLog("collector", dataset=dataset, clock_ns=lambda: START_NS)


def test_an_entry_becomes_an_event_in_the_files_of_the_component(tmp_path: Path) -> None:
    log = EventLog.to_files(load(stack={"data_dir": tmp_path}), "stack", "stack")
    heard: list[Entry] = []
    log.listeners.append(heard.append)
    log.record(
        "exit", "was killed", component="flights-1", level="warn", fields={"process": {"pid": 7}}
    )
    (event,) = events_in(tmp_path / "logs")
    assert event["message"] == "flights-1: was killed"
    assert event["log"] == {"level": "warn"}
    assert event["event"]["dataset"] == "tidegate.stack"
    assert event["event"]["action"] == "exit"
    assert event["service"]["node"] == {"name": "stack"}
    assert event["tidegate"] == {"component": "flights-1"}
    assert event["process"] == {"pid": 7}
    assert heard == list(log.recent)
    assert (heard[0].component, heard[0].message) == ("flights-1", "was killed")


def test_a_log_line_names_its_logger_and_an_event_may_have_another_dataset() -> None:
    log = memory_log("app")
    log.log.record("control", "paused", fields={"tidegate": {"x": 1}})
    log.log.record("decide", "1 to 2", dataset="decision", listed=False, event_id="x", at_ns=0)
    line, decision = log.events()
    assert line["@timestamp"] == "2023-11-14T22:13:20.123456Z"
    assert line["log"] == {"level": "info", "logger": "tidegate.collector"}
    assert (line["event"]["action"], line["tidegate"]) == ("control", {"x": 1})
    assert log.log.recent[0].component == "collector"
    assert decision["event"]["dataset"] == "tidegate.decision"
    assert (decision["event"]["id"], decision["@timestamp"]) == ("x", "1970-01-01T00:00:00.000000Z")
    assert [entry.message for entry in log.log.recent] == ["paused"]


def test_a_terminal_shows_time_level_and_component() -> None:
    shown = io.StringIO()
    log = EventLog(StreamWriter(io.BytesIO()), ORIGIN, "collector", [Terminal(shown)])
    log.record("start", "delivering", at_ns=1_700_000_000_123_456_000)
    log.record("exit", "was killed", component="flights-1", level="warn", at_ns=0)
    assert shown.getvalue().splitlines() == [
        "2023-11-14T22:13:20.123456Z info collector: delivering",
        "1970-01-01T00:00:00.000000Z warn flights-1: was killed",
    ]


def test_a_condition_is_logged_only_when_it_appears_changes_and_ends() -> None:
    log = memory_log()
    log.log.resolved("sink", "never appeared")
    for message in ("refused", "refused", "no route", "no route"):
        log.log.condition("sink", message)
    log.log.condition("disk", "full", level="error")
    log.log.resolved("sink", "delivering again")
    log.log.resolved("sink", "delivering again")
    log.log.condition("sink", "no route")
    assert log.messages() == ["refused", "no route", "full", "delivering again", "no route"]
    assert [event["log"]["level"] for event in log.events()] == [
        *("warn", "warn", "error", "info", "warn")
    ]
    assert {event["event"]["action"] for event in log.events()} == {"sink", "disk"}


def test_a_message_that_varies_is_not_logged_again_for_the_same_cause() -> None:
    log = memory_log()
    log.log.condition("sink", "no answer for 1 s", cause="away", action="sink-away")
    log.log.condition("sink", "no answer for 2 s", cause="away", action="sink-away")
    log.log.resolved("sink", "answers", action="sink-back")
    assert log.messages() == ["no answer for 1 s", "answers"]
    assert [event["event"]["action"] for event in log.events()] == ["sink-away", "sink-back"]


def test_after_closing_it_writes_no_event_but_still_calls_listeners(tmp_path: Path) -> None:
    log = EventLog.to_files(load(stack={"data_dir": tmp_path}), "stack", "stack")
    heard: list[Entry] = []
    log.listeners.append(heard.append)
    log.close()
    log.record("stop", "late")
    assert events_in(tmp_path / "logs") == []
    assert heard[0].message == "late"


@pytest.mark.parametrize("sink", ["terminal", "stream"])
def test_a_stream_that_fails_raises_nothing(failing: TextIO, tmp_path: Path, sink: str) -> None:
    files = EventWriter(tmp_path, "unit")
    writer: Writer = files if sink == "terminal" else StreamWriter(failing.buffer)
    log = EventLog(writer, ORIGIN, "collector", [Terminal(failing)])
    for _ in range(3):
        log.record("start", "x" * 10_000)
    log.condition("signals", "none")
    log.close()
    assert len(events_in(tmp_path)) == (4 if sink == "terminal" else 0)


def test_text_that_is_not_unicode_raises_nothing(tmp_path: Path) -> None:
    shown = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    log = EventLog(EventWriter(tmp_path, "unit"), ORIGIN, "collector", [Terminal(shown)])
    log.record("file-trouble", "a file called \udcff")
    assert events_in(tmp_path)[0]["message"] == "a file called ?"


def test_a_failing_listener_affects_neither_the_caller_nor_other_listeners() -> None:
    log, heard = memory_log(), list[Entry]()

    def fail(_: Entry) -> None:
        raise RuntimeError

    log.log.listeners += [fail, heard.append]
    log.log.record("start", "started")
    assert len(heard) == 1
