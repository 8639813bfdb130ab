"""The search commands against a real embedded store."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually
from support.samples.recent_events import SECOND, event, now_ns
from tidegate.events.event import Event, timestamp
from tidegate.settings import Settings, load
from tidegate.store import open_store
from tidegate.store.search import commands
from tidegate.telemetry.propagation import parse_traceparent

OWN = {"city": "Kyiv", "price": 12.5, "quote": {"vip": True}}
KEPT, PLAIN = "a" * 32, "b" * 32


def ago(seconds: int) -> str:
    return timestamp(now_ns() - seconds * SECOND)


def span(name: str, own: str, parent: str | None, start: float, length: float) -> Event:
    start_ns = now_ns() - 20 * SECOND + int(start * SECOND)
    return event(
        name,
        dataset="span",
        stream="traces",
        span={"id": own, "name": name},
        trace={"id": KEPT},
        event={
            "start": timestamp(start_ns),
            "duration": int(length * SECOND),
            "outcome": "failure",
        },
        parent={"id": parent},
    )


@pytest.fixture(scope="module", autouse=True)
def noon() -> Iterator[None]:
    """Be where it is noon: a line of the day before has its date too, and tests run at midnight as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", f"NOON{datetime.now(UTC).hour - 12:+d}")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = load(stack={"data_dir": tmp_path_factory.mktemp("data")})
    error = {"type": "ValueError", "message": "\x1b[2Jboom"}
    with closing(open_store(made)) as store:
        store.append(
            [
                event("first", ago=30, log={"level": "info"}),
                event("second", ago=20, log={"level": "error"}, error=error, trace={"id": KEPT}),
                event("third", ago=10, log={"level": "warn"}, trace={"id": PLAIN}),
                event("of yesterday", ago=86_400, tidegate=OWN),
                span("POST /predict", "1" * 16, None, 0, 1),
                span("model", "2" * 16, "1" * 16, 0.25, 0.5),
            ]
        )
    return made


def search(settings: Settings, query: str = "", **more: Any) -> int:
    wanted = {"since": "5m", "until": "", "limit": 50, "as_json": False, **more}
    return commands.search(settings, query, **wanted)


def test_search_shows_matching_events_oldest_first(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(settings, "log.level:(error OR warn)") == 0
    shown = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        rf"\d\d:\d\d:\d\d\.\d{{3}} ERROR flights-1   second  ValueError: \\x1b\[2Jboom  trace.id:{KEPT}",
        shown[0],
    )
    assert re.fullmatch(
        rf"\d\d:\d\d:\d\d\.\d{{3}} WARN  flights-1   third  trace.id:{PLAIN}", shown[1]
    )
    assert len(shown) == 2


@pytest.mark.parametrize(
    ("as_json", "said"), [(False, "3 events match; showing the newest 2 (--limit)\n"), (True, "")]
)
def test_search_shows_the_newest_matches_and_says_if_there_are_more(
    settings: Settings, capsys: pytest.CaptureFixture[str], as_json: bool, said: str
) -> None:
    assert search(settings, "first second third", as_json=as_json, limit=2) == 0
    shown, message = capsys.readouterr()
    messages = [
        json.loads(text)["message"] if as_json else text.split()[3] for text in shown.splitlines()
    ]
    assert messages == ["second", "third"]
    assert message == said


def test_search_is_limited_to_the_time_range(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(settings, "log.level:*", since=ago(15), until=ago(5)) == 0
    assert "third" in (shown := capsys.readouterr().out)
    assert "second" not in shown
    assert search(settings, "yesterday", since="2d", until="1h") == 0
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("nowhere", "no event since 5m matches 'nowhere'\n"),
        ("log.levle:x", "no event has a field log.levle: did you mean log.level?"),
        ("qqqq:x", "no event has a field qqqq\n"),
        ("http.status:500", "did you mean http.response.status_code?"),
        ("latency:5", "did you mean event.duration?"),
        ("traceId:5", "did you mean trace.id?"),
        ("method:GET", "did you mean http.request.method?"),
        ("city:Kyiv", "did you mean tidegate.city?"),
        ("tidegate.city:Lviv", "no event since 5m matches 'tidegate.city:Lviv'\n"),
        ("_exists_:http", "no event since 5m matches '_exists_:http'\n"),
    ],
)
def test_no_match_is_a_message_and_exit_code_1(
    settings: Settings, capsys: pytest.CaptureFixture[str], query: str, message: str
) -> None:
    assert search(settings, query) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


@pytest.mark.parametrize(
    ("query", "more", "message"),
    [
        ("log.level:error AND", {}, "cannot parse the query: expected a clause after AND"),
        ("http.response.status_code:abc", {}, "'abc' is not a number"),
        ("", {"since": "soon"}, "'soon' is not a valid time: use an age such as 30s"),
        ("", {"until": "later"}, "'later' is not a valid time: use an age such as 30s"),
    ],
)
def test_an_invalid_request_is_a_message_and_exit_code_2(
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    query: str,
    more: dict[str, Any],
    message: str,
) -> None:
    assert search(settings, query, **more) == 2
    assert message in capsys.readouterr().err


def test_a_missing_store_is_a_message_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = load(stack={"data_dir": tmp_path})
    assert search(nowhere) == 2
    assert "has the stack been started?" in capsys.readouterr().err


def test_trace_draws_the_spans_and_lists_the_events(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.trace(settings, f" {KEPT.upper()} ", as_json=False) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"trace {KEPT}  1 s  2 spans"
    assert re.match(r"POST /predict +1 s  ━━━", shown[1])
    assert re.match(r"  model +500 ms +━+$", shown[2].rstrip())
    assert shown[3] == ""
    assert "second" in shown[4]


def test_a_trace_without_spans_shows_a_note_and_its_other_events(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.trace(settings, PLAIN, as_json=False) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith(f"The spans of trace {PLAIN} were not sampled")
    assert "5% of the other requests (telemetry.sample_ratio)" in shown[0]
    header = re.search(r"`traceparent: (\S+)`", shown[0])
    assert header
    parent = parse_traceparent(header[1].encode())
    assert parent
    assert parent.sampled
    assert "third" in shown[1]


def test_trace_writes_json_lines(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.trace(settings, KEPT, as_json=True) == 0
    events = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert {found["trace"]["id"] for found in events} == {KEPT}
    assert len(events) == 3


def test_a_trace_whose_events_are_on_their_way_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load(stack={"data_dir": tmp_path})
    with closing(open_store(found)) as store:
        store.append([event("before")])
        late = event("late", trace={"id": PLAIN})
        monkeypatch.setattr(time, "sleep", lambda _: store.append([late]))
        assert commands.trace(found, PLAIN, as_json=True) == 0
    (shown,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert shown["message"] == "late"


def test_an_unknown_or_invalid_trace_id_is_reported(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "DELIVERY_SECONDS", 0.0)
    assert commands.trace(settings, "c" * 32, as_json=False) == 1
    assert commands.trace(settings, "xyz", as_json=False) == 2
    captured = capsys.readouterr().err.splitlines()
    assert captured[0] == f"no event has the trace.id {'c' * 32}"
    assert captured[1] == "'xyz' is not a valid trace id: it must have 32 hexadecimal digits"


def test_logs_shows_every_event_oldest_first(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "first second third"
    assert commands.logs(settings, query, since="5m", follow=False, as_json=False) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [text.split()[3] for text in shown] == ["first", "second", "third"]
    assert commands.logs(settings, "nowhere", since="5m", follow=False, as_json=False) == 1


@contextmanager
def running(settings: Settings, command: str) -> Iterator[subprocess.Popen[str]]:
    """A `tidegate` command in this store. It does not outlive the test, whatever happens."""
    environment = {**os.environ, "TIDEGATE_STACK__DATA_DIR": str(settings.stack.data_dir)}
    with subprocess.Popen(
        [sys.executable, "-m", "tidegate", *command.split()],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["", "--json"])
def test_a_closed_pipe_ends_the_command_without_an_error(tmp_path: Path, how: str) -> None:
    settings = load(stack={"data_dir": tmp_path})
    with closing(open_store(settings)) as store:
        store.append([event(f"filler {'x' * 500} {number}") for number in range(1000)])
    environment = {**os.environ, "TIDEGATE_STACK__DATA_DIR": str(settings.stack.data_dir)}
    command = f"{sys.executable} -m tidegate logs --query filler {how} | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert "filler" in done.stdout


def test_logs_follows_new_events_until_ctrl_c(tmp_path: Path) -> None:
    settings = load(stack={"data_dir": tmp_path})
    shown: list[str] = []
    with closing(open_store(settings)) as store:
        store.append([event("before")])
        with running(settings, "logs --follow --since 1h") as process:

            def read() -> None:
                assert process.stdout is not None
                shown.extend(process.stdout)

            # Else one that Ctrl-C does not end would keep the test run alive after its summary.
            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            eventually(lambda: len(shown) == 1, "the first line")
            store.append([event("after", ago=0), event("late", ago=5)])
            eventually(lambda: len(shown) == 3, "the lines that came")
            process.send_signal(signal.SIGINT)
            reader.join(timeout=20)
            _, errors = process.communicate(timeout=20)
    assert [text.split()[3] for text in shown] == ["before", "late", "after"]
    assert (process.returncode, errors) == (0, "")


def test_following_retries_an_unavailable_store(tmp_path: Path) -> None:
    settings = load(stack={"data_dir": tmp_path})
    open_store(settings).close()
    content = (tmp_path / "store" / "format.json").read_text()
    (tmp_path / "store" / "format.json").unlink()
    with running(settings, "logs --follow --since 1h") as process:
        assert process.stderr is not None
        assert "(retrying)" in process.stderr.readline()
        (tmp_path / "store" / "format.json").write_text(content)
        with closing(open_store(settings)) as store:
            store.append([event("back")])
            assert process.stdout is not None
            assert "back" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 0


def test_fields_of_an_application_are_found_shown_and_completed(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(settings, "tidegate.city:Kyiv AND tidegate.price:>12", since="2d") == 0
    assert "of yesterday  city=Kyiv price=12.5 quote.vip=true" in capsys.readouterr().out
    assert commands.complete(settings, "log.le") == ["log.level:"]
    assert commands.complete(settings, "log.level:error AND (tidegate.ci") == [
        "log.level:error AND (tidegate.city:"
    ]
    assert not [one for one in commands.complete(settings, "") if "own_fields" in one]
