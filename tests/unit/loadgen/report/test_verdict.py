"""The verdict: exit code and terminal output."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from support.samples.load_run import recorded, summary_of
from tidegate.loadgen.report.summary import Summary
from tidegate.loadgen.report.thresholds import parse_threshold
from tidegate.loadgen.report.verdict import exit_code, print_summary, verdict


def judged(summary: Summary, *texts: str) -> Summary:
    results = [parse_threshold(text).evaluate(summary) for text in texts]
    return summary.model_copy(update={"thresholds": results})


def printed(summary: Summary, width: int = 200) -> str:
    out = io.StringIO()
    print_summary(Console(file=out, width=width), summary, Path("runs/x"))
    return out.getvalue()


@pytest.mark.parametrize(
    ("late", "interrupted", "thresholds", "outcome"),
    [
        (False, False, [], (0, ("valid", "good"))),
        (False, False, ["p95<3s"], (0, ("all thresholds passed", "good"))),
        (False, False, ["p95<500ms"], (99, ("a threshold failed", "bad"))),
        (True, False, [], (98, ("invalid", "doubtful"))),
        (True, False, ["p95<500ms"], (99, ("a threshold failed", "bad"))),
        (True, False, ["p95<9s"], (98, ("invalid", "doubtful"))),
        (True, True, ["p95<500ms"], (130, ("interrupted", "doubtful"))),
    ],
)
def test_the_exit_code_is_that_of_the_first_problem(
    late: bool, interrupted: bool, thresholds: list[str], outcome: tuple[int, tuple[str, str]]
) -> None:
    run = recorded()
    if late:
        run.sent[:] = run.planned + 0.5
    summary = judged(summary_of(run, interrupted=interrupted), *thresholds)
    assert (exit_code(summary), verdict(summary)) == outcome


def test_a_run_without_successful_requests_fails() -> None:
    run = recorded()
    for row in range(len(run)):
        run.answer(row, float(run.sent[row]) + 0.01, 501, "")
    summary = summary_of(run)
    assert (exit_code(summary), verdict(summary)) == (1, ("all requests failed", "bad"))
    assert "failed   all requests" in printed(summary)
    run.answer(7, float(run.sent[7]) + 0.01, 200, "")
    assert exit_code(summary_of(run)) == 0


def test_all_reasons_are_printed() -> None:
    run = recorded()
    run.answer(0, 0.1, 503, "")
    run.sent[:] = run.planned + 0.5
    shown = printed(judged(summary_of(run), "p95<500ms", "failed<=1"))
    for text in (
        "failed   1 of HTTP 503",
        "invalid  requests were sent late: the p99 of the send lag is 500.0 ms",
        "failed   p95<500ms: measured 2.00 s",
        "passed   failed<=1: measured 1",
        "replicas 1 to 2",
        "report   runs/x/report.html",
    ):
        assert text in shown
