"""What the stack writes down and shows: events, access lines, decisions, headline, the view."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from tidegate.autoscaler.live.override import Override, OverrideFile
from tidegate.runtime.event_log import Entry
from tidegate.settings import load
from tidegate.stack.gateway.access_log import AccessLog
from tidegate.stack.supervisor.recent_output import last_decisions, recent_output
from tidegate.stack.supervisor.status import ProgramStatus, StackStatus, pause_status, stack_state
from tidegate.stack.terminal.headline_series import (
    ARRIVALS,
    LATENCY,
    QUEUE,
    headline_text,
    parse_headline,
)
from tidegate.stack.terminal.status_view import LOG_LINES, duration, line, recent_log, view


def lines_in(folder: Path) -> list[dict[str, object]]:
    return [
        json.loads(text)
        for path in sorted(folder.glob("*.ndjson"))
        for text in path.read_text().splitlines()
    ]


def test_access_lines_that_are_events_are_kept_as_such_and_others_apart(tmp_path: Path) -> None:
    access = AccessLog.from_settings(load(stack={"data_dir": tmp_path}), tmp_path / "gateway.log")
    for text in (b'{"a":1}', b"[WARNING] x", b'{"broken', b"[1]", b'{"a":2}'):
        access(text)
    access.close()
    assert lines_in(tmp_path / "logs") == [{"a": 1}, {"a": 2}]
    kept_apart = (tmp_path / "gateway.log").read_bytes().splitlines()
    assert kept_apart == [b"[WARNING] x", b'{"broken', b"[1]"]


def test_a_line_that_cannot_be_kept_apart_is_lost_without_a_fault(tmp_path: Path) -> None:
    access = AccessLog.from_settings(
        load(stack={"data_dir": tmp_path}), tmp_path / "none" / "gateway.log"
    )
    access(b"[WARNING] x")


def decision(reason: str, message: str) -> str:
    return json.dumps(
        {
            "@timestamp": "2026-01-02T03:04:05.000006Z",
            "message": message,
            "event": {"dataset": "tidegate.decision"},
            "tidegate": {"decision": {"reason": reason}},
        }
    )


def test_the_last_decisions_that_changed_something_are_found(tmp_path: Path) -> None:
    assert last_decisions(tmp_path, 3) == []
    (tmp_path / "autoscaler.1.0.ndjson").write_text(
        "\n".join(
            [
                "cut line}",
                '{"event": 5}',
                '{"event": {"dataset": "tidegate.app"}}',
                decision("up", "one"),
                decision("hold", "two"),
                decision("down", "three"),
                decision("up", "four"),
            ]
        )
    )
    found = last_decisions(tmp_path, 2)
    assert [(entry.action, entry.message) for entry in found] == [("down", "three"), ("up", "four")]
    assert found[0].at == pytest.approx(1767323045.000006)


def test_the_last_words_of_a_program_are_its_output_and_its_last_errors(tmp_path: Path) -> None:
    output = tmp_path / "flights-1.log"
    assert recent_output(output, tmp_path, "flights-1") == ""
    output.write_text("Traceback\n")
    events = [
        {"message": "loaded", "log": {"level": "info"}},
        {"message": "no model", "log": {"level": "error"}, "error": {"message": "bad digest"}},
        {"message": "gone", "log": {"level": "error"}},
        {"message": "refused", "log": {"level": "error"}, "tidegate": {"reason": "why"}},
        {"message": "cut", "log": "error"},
        {"log": {"level": "error"}},
        ["odd"],
    ]
    (tmp_path / "flights-1.1.0.ndjson").write_text("\n".join(map(json.dumps, events)))
    said = recent_output(output, tmp_path, "flights-1")
    assert said == "Traceback\nno model: bad digest\ngone\nrefused: why"
    # A reason that it printed as well is said once.
    output.write_text("model.onnx: bad digest\n")
    said = recent_output(output, tmp_path, "flights-1")
    assert said == "model.onnx: bad digest\ngone\nrefused: why"


def test_measures_are_read_and_what_is_no_number_left_out() -> None:
    answer = {
        "data": {
            "result": [
                {"metric": {"__name__": ARRIVALS}, "value": [1, "12.34"]},
                {"metric": {"__name__": LATENCY}, "value": [1, "NaN"]},
                {"metric": {"__name__": QUEUE}, "value": [1, "3"]},
            ]
        }
    }
    assert parse_headline(json.dumps(answer)) == {ARRIVALS: 12.34, QUEUE: 3.0}


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"data": 1}', '{"data": {"result": [{}]}}'])
def test_an_answer_that_is_none_has_no_measures(text: str) -> None:
    assert parse_headline(text) == {}


def test_measures_are_told_in_words() -> None:
    words = headline_text({ARRIVALS: 12.34, LATENCY: 0.1804, QUEUE: 3}, 0.5)
    assert words == "12.3 requests/s   p95 180 ms (objective 500 ms)   3 queued"
    assert headline_text({ARRIVALS: 0.0}, 0.5) == "0.0 requests/s   0 queued"
    assert headline_text({}, 0.5) == "no measurements yet"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3725, "1 h 2 min"),
        (86400 * 2 + 3600 * 4, "2 d 4 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


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
def test_a_stack_is_ready_if_nothing_failed_and_somebody_serves(
    components: list[str], replicas: list[str], state: str
) -> None:
    assert (
        stack_state(
            [program("a", one) for one in components], [program("b", one) for one in replicas]
        )
        == state
    )


def test_a_stack_with_a_problem_of_its_own_is_degraded() -> None:
    ready = [program("a", "ready")]
    assert stack_state(ready, ready, problem="the disk is full") == "degraded"


def test_where_there_may_be_no_replica_none_is_ready_too() -> None:
    gateway = [program("gateway", "ready")]
    assert stack_state(gateway, [], 0) == "ready"
    assert stack_state(gateway, [program("b", "starting")], 0) == "ready"
    assert stack_state(gateway, [program("b", "failed")], 0) == "degraded"


def status(**more: object) -> StackStatus:
    return StackStatus.model_validate(
        {
            "state": "degraded",
            "pid": 1,
            "started_at": 1000.0,
            "data_dir": "/d",
            "service": "flights",
            "gateway": "http://127.0.0.1:8000",
            "prometheus": "http://127.0.0.1:9090",
            "store": "embedded",
            "simulated_device": True,
            "objective_seconds": 0.5,
            "components": [program("gateway", "ready")],
            "min": 1,
            "max": 6,
            "desired": 2,
            "running": 1,
            "ready": 1,
            "slots": 2,
            "own_slots": 2,
            "replicas": [
                program("flights-1", "ready", restarts=2),
                program("flights-2", "failed", pid=None, problem="was killed by SIGKILL"),
            ],
            "recent": [],
            **more,
        }
    )


def test_the_view_shows_every_program_the_measures_and_what_happened_last() -> None:
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    entry = Entry(at=5.0, level="warn", component="flights-2", action="exit", message="was killed")
    console.print(view(status(), {ARRIVALS: 3.0}, [entry], now=1065.0))
    text = console.export_text()
    console.file.close()
    for words in (
        "degraded",
        "http://127.0.0.1:8000",
        "device: simulated",
        "3.0 requests/s",
        "1 of 2 replicas ready (between 1 and 6)",
        "1 min 5 s",
        "flights-2: was killed by SIGKILL",
        "flights-2   was killed",
    ):
        assert words in text


def shown(told: StackStatus, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(view(told, {ARRIVALS: 3.0}, [], now=1000.0 + 86_400 - 60))
    return console.export_text()


def test_at_80_columns_every_address_keeps_its_port() -> None:
    problem = "ended with exit code 1; next start in 3.0 s"
    long = [
        program("prometheus", "ready", pid=4_194_304, address="http://127.0.0.1:9090/metrics"),
        program("autoscaler", "failed", address="http://127.0.0.1:19102", problem=problem),
    ]
    replica = program(
        "flights-12", "draining", pid=4_194_304, restarts=10, address="http://127.0.0.1:18012",
        version="d1cda9a52c56",
    )  # fmt: skip
    text = shown(status(components=long, replicas=[replica]), 80)
    for words in ("prometheus", "4194304", "23 h 59 min", "restarts", "draining", "127.0.0.1:9090"):
        assert words in text
    for words in ("autoscaler", "127.0.0.1:19102", "flights-12", "127.0.0.1:18012"):
        assert words in text
    assert "…" not in text
    assert "restarts" not in shown(status(replicas=[program("flights-1", "ready")]), 80)
    assert f"autoscaler: {problem}" in text


def test_a_pause_and_a_full_disk_are_shown_the_disk_first() -> None:
    pause = {"until": 5.0, "min": None, "max": None, "words": "paused until 2026-01-02 03:04Z"}
    text = shown(status(pause=pause, problem="the disk of /d is full (0 MiB free)"), 80)
    assert text.startswith("the disk of /d is full")
    assert "autoscaler paused until 2026-01-02 03:04Z; `tidegate resume` ends it" in text


def test_the_pause_in_force_is_part_of_the_status(tmp_path: Path) -> None:
    settings = load(stack={"data_dir": tmp_path})
    assert pause_status(settings) is None
    until = time.time() + 600
    OverrideFile(settings.control_file).write(Override(until, 3, None))
    found = pause_status(settings)
    assert found
    assert (found.until, found.min, found.max) == (until, 3, None)
    assert found.words.startswith("by hand until ")
    assert pause_status(load(stack={"data_dir": tmp_path}, autoscaler={"enabled": False})) is None
    OverrideFile(settings.control_file).write(Override(time.time() - 1))
    assert pause_status(settings) is None


def test_slots_that_are_lent_are_shown() -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(view(status(slots=4), {}, [], now=1065.0))
    text = console.export_text()
    assert "1 of 2 replicas ready (between 1 and 6), 4 slots each instead of 2" in text


def test_the_log_is_in_order_of_time_and_short() -> None:
    def entry(at: float) -> Entry:
        return Entry(at=at, level="info", component="x", action="y", message=f"a\nb {at}")

    shown = recent_log(status(recent=[entry(at) for at in range(0, 40, 2)]), [entry(35), entry(3)])
    assert [one.at for one in shown] == [26, 28, 30, 32, 34, 35, 36, 38]
    assert len(shown) == LOG_LINES
    assert "\n" not in line(shown[0]).plain
