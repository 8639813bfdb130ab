"""The status view in a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest

from support.samples.statuses import program_status, whole_status
from tidegate.runtime.event_log import Entry
from tidegate.stack.snapshot import ARRIVALS, LOG_LINES, Snapshot, duration, recent_log
from tidegate.stack.supervisor.status import StackStatus
from tidegate.terminal.status_view import line, view
from tidegate.terminal_console import Console


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3725, "1 h 2 min"),
        (86400 * 2 + 3600 * 4, "2 d 4 h"),
    ],
)
def test_a_duration_is_formatted_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_view_shows_every_program_the_series_and_the_recent_log() -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    entry = Entry(at=5.0, level="warn", component="flights-2", action="exit", message="was killed")
    console.print(view(Snapshot(whole_status(), {ARRIVALS: 3.0}, [entry]), now=1065.0))
    text = console.export_text()
    for expected in (
        "degraded",
        "http://127.0.0.1:8000",
        "device: simulated",
        "3.0 requests/s",
        "1 of 2 replicas ready (between 1 and 6)",
        "1 min 5 s",
        "flights-2: was killed by SIGKILL",
        "flights-2   was killed",
    ):
        assert expected in text


def rendered(stack_status: StackStatus, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(view(Snapshot(stack_status, {ARRIVALS: 3.0}, []), now=1000.0 + 86_400 - 60))
    return console.export_text()


def test_at_80_columns_every_address_is_complete() -> None:
    problem = "ended with exit code 1; next start in 3.0 s"
    long = [
        program_status(
            "prometheus", "ready", pid=4_194_304, address="http://127.0.0.1:9090/metrics"
        ),
        program_status("autoscaler", "failed", address="http://127.0.0.1:19102", problem=problem),
    ]
    replica = program_status(
        "flights-12", "draining", pid=4_194_304, restarts=10, address="http://127.0.0.1:18012",
        version="d1cda9a52c56",
    )  # fmt: skip
    text = rendered(whole_status(components=long, replicas=[replica]), 80)
    addresses = ("127.0.0.1:9090", "127.0.0.1:19102", "127.0.0.1:18012")
    words = (
        "prometheus",
        "4194304",
        "23 h 59 min",
        "restarts",
        "draining",
        "autoscaler",
        "flights-12",
    )
    assert [one for one in (*words, *addresses) if one not in text] == []
    assert "…" not in text
    calm = whole_status(replicas=[program_status("flights-1", "ready")])
    assert "restarts" not in rendered(calm, 80)
    assert f"autoscaler: {problem}" in text


def test_a_long_entry_of_the_log_continues_below_its_message() -> None:
    long = Entry(0.0, "info", "rollout", "done", f"every replica serves {'shop:app ' * 8}at last")
    shown = view(Snapshot(whole_status(), {}, [long]), 0.0)
    console = Console(width=80, file=io.StringIO())
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    first, second = console.file.getvalue().splitlines()[-2:]
    assert "rollout     every replica serves shop:app" in first
    assert second.startswith(" " * first.index("every") + "shop:app")


@pytest.mark.parametrize(
    ("more", "texts"),
    [
        pytest.param(
            {
                "pause": {"until": 5.0, "min": None, "max": None, "words": "paused until 03:04Z"},
                "problem": "the disk of /d is full (0 MiB free)",
            },
            [
                "the disk of /d is full (0 MiB free)\n",
                "autoscaler paused until 03:04Z; `tidegate resume` ends it",
            ],
            id="the disk first, and a pause",
        ),
        pytest.param(
            {
                "alerts": [
                    {"name": "Gone", "severity": "critical", "summary": "No replica is ready."},
                    {"name": "Own", "severity": "", "summary": "It [fires]."},
                ]
            },
            ["Gone fires (critical): No replica is ready.", "Own fires: It [fires]."],
            id="alerts",
        ),
        pytest.param(
            {
                "machine": "the processors were 99% busy",
                "faults": 2,
                "source": "wine.joblib has changed",
            },
            [
                "2 unexpected errors since the start: `tidegate search 'event.action:fault'`",
                "the processors were 99% busy",
                "wine.joblib has changed",
            ],
            id="faults, a full machine, and a model file that changed",
        ),
        pytest.param(
            {
                "replicas": [
                    program_status("flights-1", "ready", start_seconds={"found": 1.0}),
                    program_status(
                        *("flights-2", "ready"),
                        started_at=1001.0,
                        start_seconds={"imports": 0.4, "session": 0.156, "found": 0.01},
                    ),
                ]
            },
            ["flights-2 started in 0.57 s: imports 0.40, session 0.16, found 0.01"],
            id="the last start by phase",
        ),
        pytest.param({"slots": 4}, [", 4 slots each instead of 2"], id="changed slots"),
    ],
)
def test_what_is_out_of_the_ordinary_is_shown(more: dict[str, Any], texts: list[str]) -> None:
    shown = rendered(whole_status(**more), 140)
    places = [shown.index(text) for text in texts]
    assert places == sorted(places)
    assert (places[0] == 0) == ("problem" in more)


def test_the_recent_log_is_short_and_in_order_of_time() -> None:
    def entry(at: float) -> Entry:
        return Entry(at=at, level="info", component="x", action="y", message=f"a\nb {at}")

    shown = recent_log(
        whole_status(recent=[entry(at) for at in range(0, 40, 2)]), [entry(35), entry(3)]
    )
    assert [one.at for one in shown] == [26, 28, 30, 32, 34, 35, 36, 38]
    assert len(shown) == LOG_LINES
    assert "\n" not in line(shown[0]).plain
