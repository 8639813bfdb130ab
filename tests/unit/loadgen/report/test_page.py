"""The report: a self-contained file, and the plots."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from support.harnesses.html_page import HtmlPage
from support.samples.load_run import SIGNALS, recorded, series_of, summary_of
from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS
from tidegate.loadgen.report.page import to_html, write_report
from tidegate.loadgen.report.plots import draw
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.theme import LIGHT
from tidegate.loadgen.report.thresholds import parse_threshold
from tidegate.loadgen.send.record import Recording


def test_a_report_is_a_self_contained_file_and_plots(tmp_path: Path) -> None:
    run = recorded()
    html = write_report(tmp_path, summary_of(run), run, SIGNALS).read_text()
    urls = HtmlPage(html).urls
    assert urls
    assert all(url.startswith("data:") for url in urls)
    assert "<script" not in html
    assert not re.search(r"url\(|@import", html)
    assert f"tidegate trace {50:032x}" in html
    assert "prefers-color-scheme: dark" in html
    assert "From 15 s on, p95 stayed within the objective" in html
    series = json.loads((tmp_path / "series.json").read_text())
    assert {len(one) for name, one in series.items() if name != "width"} == {len(series["p95"])}
    assert max(one for one in series["p95"] if one is not None) > 0
    (image,) = tmp_path.glob("*.png")
    assert image.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_header_contains_the_verdict() -> None:
    run = recorded()
    summary = summary_of(run)
    broken = [parse_threshold("p95<500ms").evaluate(summary)]
    failed = summary.model_copy(update={"thresholds": broken})
    assert "a threshold failed" in to_html(failed, series_of(run))
    late = summary.model_copy(update={"valid": False, "invalid_reasons": ["sent late"]})
    assert "sent late. Do not use the times below." in to_html(late, series_of(run))


def test_the_lag_is_compared_with_the_one_that_was_accepted() -> None:
    run = recorded()
    run.sent[:] = run.planned + 0.02
    html = to_html(summary_of(run, max_lag_seconds=0.05), series_of(run))
    assert "(valid up to a p99 of 50 ms)" in html
    assert "doubtful" not in html.partition("Validity and thresholds")[2]


def test_names_are_escaped() -> None:
    run = recorded()
    run.fail(0, 1.0, "<script>alert(1)</script>")
    html = to_html(summary_of(run, description="<img src=x onerror=alert(1)>"), series_of(run))
    assert "<script>" not in html
    assert "<img src=x" not in html


def test_a_run_without_a_response_has_a_report(tmp_path: Path) -> None:
    failed = Recording([0.0, 1.0, 2.0], ["light", "heavy", "light"])
    html = write_report(tmp_path, summary_of(failed), failed, Signals()).read_text()
    assert "no request has ended" in html
    failed.sent[:2] = failed.planned[:2]
    failed.fail(0, 0.1, "connection refused")
    failed.interrupt(1)
    summary = summary_of(failed, interrupted=True, slo_seconds=None)
    html = write_report(tmp_path, summary, failed, Signals()).read_text()
    for text in ("interrupted", "connection refused", "no trace id in the response"):
        assert text in html


@pytest.mark.parametrize(
    ("panel", "lines"),
    [
        ("requests", ["planned", "sent", "answered"]),
        ("latency", ["p99", "p95", "p50", "p95 over the objective"]),
        ("latency-by-kind", list(REQUEST_KINDS)),
        ("replicas", ["ready", "desired", "queued requests (right axis)"]),
    ],
)
def test_a_panel_draws_each_line_of_its_legend(panel: str, lines: list[str]) -> None:
    figure = draw([panel], series_of(recorded()), LIGHT)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert sorted(text.get_text() for text in legend.get_texts()) == sorted(lines)
    if panel == "replicas":
        drawn = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
        (queue,) = figure.axes[1].get_lines()  # on an axis of its own
        for line, samples in (
            (drawn["ready"], SIGNALS.ready),
            (drawn["desired"], SIGNALS.desired),
            (queue, SIGNALS.queue),
        ):
            values = [value for _, value in samples]
            assert np.array_equal(np.asarray(line.get_ydata()), [*values, values[-1]])
