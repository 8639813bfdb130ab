"""The live view: snapshots of a run, as a panel and as a line."""

from __future__ import annotations

import io
import json
import threading
import time

from rich.console import Console

from support.eventually import eventually
from support.samples.load_run import recorded, unanswered
from tidegate.loadgen.report.live_view import (
    live_view,
    snapshot,
    sparkline,
    status_line,
    status_panel,
)
from tidegate.loadgen.report.replica_signals import Prometheus


def test_a_snapshot_counts_due_sent_and_answered_requests() -> None:
    recording = recorded()
    recording.sent[150:] = float("nan")
    recording.finished[150:] = float("nan")
    recording.status[150:] = 0
    now = snapshot(recording, 15.0)
    assert (now.planned, now.due, now.sent, now.answered, now.failed) == (300, 151, 150, 150, 0)
    assert now.p95 == 2.0
    assert now.lag_p99 == 0.001
    assert now.p95_history[:5] == (0.1,) * 5
    assert now.p95_history[-1] == 2.0
    assert len(now.p95_history) == 15


def test_a_snapshot_before_the_start_has_no_data() -> None:
    now = snapshot(unanswered(), -0.2)
    assert (now.due, now.sent, now.p95, now.p95_history) == (0, 0, None, ())
    assert "p95 -" in status_line(now, {})


def test_a_sparkline_is_scaled_to_its_maximum() -> None:
    assert sparkline((0.0, 0.5, 1.0, None)) == "▁▅█ "
    assert sparkline((0.0, 0.0)) == "▁▁"
    assert sparkline(()) == ""


def test_a_status_line_contains_all_values() -> None:
    line = status_line(snapshot(recorded(), 29.0), {"ready": 2.0, "queue": 7.0})
    assert line.startswith("   29 s  planned 291/300  sent 300  answered 300  failed 0  p50 100 ms")
    assert line.endswith("lag p99 1.0 ms  ready 2  queue 7")


def test_a_status_panel_fits_80_columns() -> None:
    recording, out = recorded(), io.StringIO()
    recording.fail(0, 1.0, "timeout")
    now = snapshot(recording, 15.0)
    frame = status_panel(now, {"ready": 2.0, "queue": 7.0}, title="t", seconds=30, slo=0.5)
    Console(file=out, width=80).print(frame)
    for text in (
        *("15 of 30 s", "planned 151/300", "failed 1", "sent 300  answered"),
        *("p95 2.00 s  p99", "queue 7", "█"),
    ):
        assert text in out.getvalue()


def test_the_view_on_a_terminal_ends_with_the_final_state() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True)
    start = time.monotonic() - 30
    body = json.dumps({"data": {"result": [{"value": [1, "3"]}]}}).encode()
    three = Prometheus("http://p", lambda _: body)
    with live_view(
        console, recorded(), lambda: start, title="t", seconds=30, prometheus=three
    ) as signals:
        eventually(lambda: len(signals) >= 3, "three signals are read")
    assert "answered" in out.getvalue()
    assert "ready" in out.getvalue()


def test_values_of_a_lost_prometheus_are_removed() -> None:
    out, lost = io.StringIO(), threading.Event()

    def fetch(_: str) -> bytes:
        if lost.is_set():
            raise OSError("lost")
        return json.dumps({"data": {"result": [{"value": [1, "3"]}]}}).encode()

    prometheus = Prometheus("http://p", fetch)
    console = Console(file=out, width=200)
    with live_view(
        console, recorded(), time.monotonic, title="t", seconds=30, prometheus=prometheus
    ) as signals:
        eventually(lambda: len(signals) >= 3, "three signals are read")
        lost.set()
        eventually(lambda: not signals, "they are removed")
    assert "planned 0/300" in out.getvalue()
    assert "ready" not in out.getvalue().splitlines()[-1]
