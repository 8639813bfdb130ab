"""The live view: a moment of the run, as a picture and as a line."""

from __future__ import annotations

import io
import json
import time

from rich.console import Console

from tidegate.loadgen.report.live_view import Watch, moment, picture, plain, sparkline
from tidegate.loadgen.report.replica_signals import Prometheus
from tidegate.loadgen.send.record import Recording


def test_a_moment_counts_what_was_due_sent_and_answered(recording: Recording) -> None:
    recording.sent[150:] = float("nan")
    recording.finished[150:] = float("nan")
    recording.status[150:] = 0
    now = moment(recording, 15.0)
    assert (now.planned, now.due, now.sent, now.answered, now.failed) == (300, 151, 150, 150, 0)
    assert now.p95 == 2.0
    assert now.lag_p99 == 0.001
    assert now.spark[:5] == (0.1,) * 5
    assert now.spark[-1] == 2.0
    assert len(now.spark) == 15


def test_before_the_start_nothing_is_known(recording: Recording) -> None:
    silent = Recording(recording.planned.tolist(), ["light"] * len(recording))
    now = moment(silent, -0.2)
    assert (now.due, now.sent, now.p95, now.spark) == (0, 0, None, ())
    assert "p95 -" in plain(now, {})


def test_a_sparkline_is_as_high_as_its_highest() -> None:
    assert sparkline((0.0, 0.5, 1.0, None)) == "▁▅█ "
    assert sparkline((0.0, 0.0)) == "▁▁"
    assert sparkline(()) == ""


def test_a_line_tells_all_of_a_moment(recording: Recording) -> None:
    line = plain(moment(recording, 29.0), {"ready": 2.0, "queue": 7.0})
    assert line.startswith("   29 s  planned 291/300  sent 300  answered 300  failed 0  p50 100 ms")
    assert line.endswith("lag p99 1.0 ms  ready 2  queue 7")


def test_a_picture_fits_a_terminal_of_eighty_columns(recording: Recording) -> None:
    console = Console(file=io.StringIO(), width=80)
    recording.fail(0, 1.0, "timeout")
    frame = picture(
        moment(recording, 15.0), {"ready": 2.0, "queue": 7.0}, title="t", seconds=30, slo=0.5
    )
    console.print(frame)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    for text in ("15 of 30 s", "planned 151/300", "failed 1", "p95 2.00 s", "queue 7", "█"):
        assert text in shown


def test_the_view_on_a_terminal_ends_with_the_last_moment(recording: Recording) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    start = time.monotonic() - 30
    prometheus = Prometheus(
        "http://p", lambda _: json.dumps({"data": {"result": [{"value": [1, "3"]}]}}).encode()
    )
    with Watch(
        console, recording, lambda: start, title="t", seconds=30, prometheus=prometheus
    ) as watch:
        deadline = time.monotonic() + 10
        while len(watch.signals) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "answered" in shown
    assert "ready" in shown


def test_a_lost_prometheus_leaves_no_old_numbers(recording: Recording) -> None:
    lines = io.StringIO()
    with Watch(
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
