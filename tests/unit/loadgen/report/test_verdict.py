"""The verdict: exit code and terminal output."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.summary import Summary
from tidegate.loadgen.report.thresholds import parse_threshold
from tidegate.loadgen.report.verdict import exit_code, print_summary, verdict
from tidegate.loadgen.send.record import Recording


def judged(summary: Summary, *texts: str) -> Summary:
    results = [parse_threshold(text).evaluate(summary) for text in texts]
    return summary.model_copy(update={"thresholds": results})


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        ((False, False, None), (0, "valid")),
        ((False, False, "p95<3s"), (0, "all thresholds passed")),
        ((False, False, "p95<500ms"), (99, "a threshold failed")),
        ((True, False, None), (98, "invalid")),
        ((True, False, "p95<500ms"), (98, "invalid")),
        ((True, True, "p95<500ms"), (130, "interrupted")),
    ],
)
def test_the_exit_code_is_that_of_the_first_problem(
    recording: Recording,
    summary_of: Callable[..., Summary],
    run: tuple[bool, bool, str | None],
    outcome: tuple[int, str],
) -> None:
    late, interrupted, threshold = run
    if late:
        recording.sent[:] = recording.planned + 0.5
    summary = summary_of(recording, interrupted=interrupted)
    summary = judged(summary, *([threshold] if threshold else []))
    assert (exit_code(summary), verdict(summary)[0]) == outcome


def test_a_run_without_successful_requests_fails(
    recording: Recording, summary_of: Callable[..., Summary]
) -> None:
    for row in range(len(recording)):
        recording.answer(row, float(recording.sent[row]) + 0.01, 501, "")
    summary = summary_of(recording)
    assert (exit_code(summary), verdict(summary)) == (1, ("all requests failed", "bad"))
    console = Console(file=io.StringIO(), width=200)
    print_summary(console, summary, Path("runs/x"))
    assert isinstance(console.file, io.StringIO)
    assert "failed   all requests" in console.file.getvalue()
    recording.answer(7, float(recording.sent[7]) + 0.01, 200, "")
    assert exit_code(summary_of(recording)) == 0


def test_all_reasons_are_printed(
    recording: Recording, signals: Signals, summary_of: Callable[..., Summary]
) -> None:
    recording.answer(0, 0.1, 503, "")
    recording.sent[:] = recording.planned + 0.5
    summary = judged(summary_of(recording, signals), "p95<500ms", "failed<=1")
    console = Console(file=io.StringIO(), width=200)
    print_summary(console, summary, Path("runs/x"))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    for text in (
        "failed   1 of HTTP 503",
        "invalid  requests were sent late: the p99 of the send lag is 500.0 ms",
        "failed   p95<500ms: measured 2.00 s",
        "passed   failed<=1: measured 1",
        "replicas 1 to 2",
        "report   runs/x/report.html",
    ):
        assert text in shown


def test_the_figures_fit_80_columns_with_each_value_apart(
    recording: Recording, summary_of: Callable[..., Summary]
) -> None:
    recording.finished += 300.0  # "301.20 s" is as wide as a value becomes
    out = io.StringIO()
    print_summary(Console(file=out, width=80), summary_of(recording), Path("runs/x"))
    above, names, row = out.getvalue().splitlines()[:3]
    assert above.split() == ["first", "byte"]
    assert names.split() == [
        *("planned", "sent", "answered", "failed"),
        *("p50", "p95", "p99", "max", "p95"),
    ]
    assert row.count(" s") == 5
