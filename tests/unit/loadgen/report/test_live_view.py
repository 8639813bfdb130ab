"""The live view: snapshots of a run, as a panel and as a line."""

from __future__ import annotations

import io
import json
import time

from rich.console import Console

from support.eventually import eventually
from tidegate.loadgen.report.live_view import (
    LiveView,
    snapshot,
    sparkline,
    status_line,
    status_panel,
)
from tidegate.loadgen.report.replica_signals import Prometheus
from tidegate.loadgen.send.record import Recording


def test_a_snapshot_counts_due_sent_and_answered_requests(recording: Recording) -> None:
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


def test_a_snapshot_before_the_start_has_no_data(recording: Recording) -> None:
    silent = Recording(recording.planned.tolist(), ["light"] * len(recording))
    now = snapshot(silent, -0.2)
    assert (now.due, now.sent, now.p95, now.p95_history) == (0, 0, None, ())
    assert "p95 -" in status_line(now, {})


def test_a_sparkline_is_scaled_to_its_maximum() -> None:
    assert sparkline((0.0, 0.5, 1.0, None)) == "▁▅█ "
    assert sparkline((0.0, 0.0)) == "▁▁"
    assert sparkline(()) == ""


def test_a_status_line_contains_all_values(recording: Recording) -> None:
    line = status_line(snapshot(recording, 29.0), {"ready": 2.0, "queue": 7.0})
    assert line.startswith("   29 s  planned 291/300  sent 300  answered 300  failed 0  p50 100 ms")
    assert line.endswith("lag p99 1.0 ms  ready 2  queue 7")


def test_a_status_panel_fits_80_columns(recording: Recording) -> None:
    console = Console(file=io.StringIO(), width=80)
    recording.fail(0, 1.0, "timeout")
    frame = status_panel(
        snapshot(recording, 15.0), {"ready": 2.0, "queue": 7.0}, title="t", seconds=30, slo=0.5
    )
    console.print(frame)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    for text in (
        "15 of 30 s",
        "planned 151/300",
        "failed 1",
        "sent 300  answered",
        "p95 2.00 s  p99",
        "queue 7",
        "█",
    ):
        assert text in shown


def test_the_view_on_a_terminal_ends_with_the_final_state(recording: Recording) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    start = time.monotonic() - 30
    prometheus = Prometheus(
        "http://p", lambda _: json.dumps({"data": {"result": [{"value": [1, "3"]}]}}).encode()
    )
    with LiveView(
        console, recording, lambda: start, title="t", seconds=30, prometheus=prometheus
    ) as watch:
        eventually(lambda: len(watch.signals) >= 3, "three signals are read")
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "answered" in shown
    assert "ready" in shown


def test_values_of_a_lost_prometheus_are_removed(recording: Recording) -> None:
    lines = io.StringIO()
    with LiveView(
        Console(file=lines, width=200),
        recording,
        time.monotonic,
        title="t",
        seconds=30,
        prometheus=Prometheus("http://127.0.0.1:1"),
    ) as watch:
        pass
    assert watch.signals == {}
    assert "planned 0/300" in lines.getvalue()
    assert "ready" not in lines.getvalue()
