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
from dataclasses import dataclass
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


@dataclass
class Shell:
    """The commands in this store; each returns its exit code, its lines of output and its errors."""

    settings: Settings
    capsys: pytest.CaptureFixture[str]

    def search(self, query: str = "", **more: Any) -> tuple[int, list[str], str]:
        wanted = {"since": "5m", "until": "", "limit": 50, "as_json": False, **more}
        return self._shown(commands.search(self.settings, query, **wanted))

    def trace(self, name: str, *, as_json: bool = False) -> tuple[int, list[str], str]:
        return self._shown(commands.trace(self.settings, name, as_json=as_json))

    def logs(self, query: str) -> tuple[int, list[str], str]:
        return self._shown(
            commands.logs(self.settings, query, since="5m", follow=False, as_json=False)
        )

    def _shown(self, code: int) -> tuple[int, list[str], str]:
        out, err = self.capsys.readouterr()
        return code, out.splitlines(), err


@pytest.fixture
def shell(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(settings, capsys)


def test_spans_are_found_only_by_a_query_that_names_them(shell: Shell) -> None:
    assert "model" not in "".join(shell.search("*", since="1d", limit=100)[1])
    for query in ("span.name:model", "event.dataset:tidegate.span AND model", f"trace.id:{KEPT}"):
        assert any("model" in line for line in shell.search(query)[1]), query


def test_search_shows_matching_events_oldest_first(shell: Shell) -> None:
    code, (first, second), _ = shell.search("log.level:(error OR warn)")
    time = r"\d\d:\d\d:\d\d\.\d{3}"
    error = rf"{time} ERROR flights-1   second  ValueError: \\x1b\[2Jboom  trace.id:{KEPT}"
    assert code == 0
    assert re.fullmatch(error, first)
    assert re.fullmatch(rf"{time} WARN  flights-1   third  trace.id:{PLAIN}", second)


@pytest.mark.parametrize(
    ("as_json", "said"), [(False, "3 events match; showing the newest 2 (--limit)\n"), (True, "")]
)
def test_search_shows_the_newest_matches_and_says_if_there_are_more(
    shell: Shell, as_json: bool, said: str
) -> None:
    code, shown, message = shell.search("first second third", as_json=as_json, limit=2)
    messages = [json.loads(text)["message"] if as_json else text.split()[3] for text in shown]
    assert (code, messages, message) == (0, ["second", "third"], said)


def test_search_is_limited_to_the_time_range(shell: Shell) -> None:
    code, shown, _ = shell.search("log.level:*", since=ago(15), until=ago(5))
    assert code == 0
    assert "third" in " ".join(shown)
    assert "second" not in " ".join(shown)
    code, shown, _ = shell.search("yesterday", since="2d", until="1h")
    assert code == 0
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:", shown[0])


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
def test_no_match_is_a_message_and_exit_code_1(shell: Shell, query: str, message: str) -> None:
    code, out, err = shell.search(query)
    assert (code, out) == (1, [])
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
    shell: Shell, query: str, more: dict[str, Any], message: str
) -> None:
    code, _, err = shell.search(query, **more)
    assert code == 2
    assert message in err


def test_trace_draws_the_spans_and_lists_the_events(shell: Shell) -> None:
    code, shown, _ = shell.trace(f" {KEPT.upper()} ")
    assert (code, shown[0]) == (0, f"trace {KEPT}  1 s  2 spans")
    assert re.match(r"POST /predict +1 s  ━━━", shown[1])
    assert re.match(r"  model +500 ms +━+$", shown[2].rstrip())
    assert shown[3] == ""
    assert "second" in shown[4]


def test_a_trace_without_spans_shows_a_note_and_its_other_events(shell: Shell) -> None:
    code, shown, _ = shell.trace(PLAIN)
    assert code == 0
    assert shown[0].startswith(f"The spans of trace {PLAIN} were not sampled")
    assert "5% of the other requests (telemetry.sample_ratio)" in shown[0]
    header = re.search(r"`traceparent: (\S+)`", shown[0])
    assert header
    parent = parse_traceparent(header[1].encode())
    assert parent
    assert parent.sampled
    assert "third" in shown[1]


def test_a_trace_whose_events_are_on_their_way_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(load(stack={"data_dir": tmp_path}), capsys)
    with closing(open_store(shell.settings)) as store:
        store.append([event("before")])
        late = event("late", trace={"id": PLAIN})
        monkeypatch.setattr(time, "sleep", lambda _: store.append([late]))
        code, (shown,), _ = shell.trace(PLAIN, as_json=True)
    assert (code, json.loads(shown)["message"]) == (0, "late")


def test_an_unknown_or_invalid_trace_id_is_reported(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "DELIVERY_SECONDS", 0.0)
    unknown = f"no event has the trace.id {'c' * 32}\n"
    assert shell.trace("c" * 32) == (1, [], unknown)
    invalid = "'xyz' is not a valid trace id: it must have 32 hexadecimal digits\n"
    assert shell.trace("xyz") == (2, [], invalid)


def test_fields_of_an_application_are_found_shown_and_completed(shell: Shell) -> None:
    code, (shown,), _ = shell.search("tidegate.city:Kyiv AND tidegate.price:>12", since="2d")
    assert code == 0
    assert "of yesterday  city=Kyiv price=12.5 quote.vip=true" in shown

    def completed(typed: str) -> list[str]:
        return commands.complete(shell.settings, typed)

    assert completed("log.le") == ["log.level:"]
    both = "log.level:error AND (tidegate.ci"
    assert completed(both) == ["log.level:error AND (tidegate.city:"]
    assert not [one for one in completed("") if "own_fields" in one]


def environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, "TIDEGATE_STACK__DATA_DIR": str(settings.stack.data_dir)}


@contextmanager
def running(settings: Settings, command: str) -> Iterator[subprocess.Popen[str]]:
    """A `tidegate` command in this store. It does not outlive the test, whatever happens."""
    with subprocess.Popen(
        [sys.executable, "-m", "tidegate", *command.split()],
        env=environment(settings),
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
    command = f"{sys.executable} -m tidegate logs --query filler {how} | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=environment(settings),
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
