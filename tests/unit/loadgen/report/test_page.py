"""The report: a self-contained file, and the plots."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS
from tidegate.loadgen.report.page import to_html, write_report
from tidegate.loadgen.report.plots import PANELS, as_bytes, draw, seconds_label
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.series import run_series
from tidegate.loadgen.report.summary import Summary
from tidegate.loadgen.report.theme import DARK, LIGHT
from tidegate.loadgen.report.thresholds import parse_threshold
from tidegate.loadgen.send.record import Recording

PNG = b"\x89PNG\r\n\x1a\n"


class Addresses(HTMLParser):
    """Every address that a browser would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"src", "srcset", "href"}]


def test_a_report_is_a_self_contained_file_and_plots(
    tmp_path: Path, recording: Recording, signals: Signals, summary_of: Callable[..., Summary]
) -> None:
    path = write_report(tmp_path, summary_of(recording, signals), recording, signals)
    html = path.read_text()
    addresses = Addresses(html).found
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert "<script" not in html
    assert not re.search(r"url\(|@import", html)
    assert f"tidegate trace {50:032x}" in html
    assert "prefers-color-scheme: dark" in html
    assert "From 15 s on, p95 stayed within the objective" in html
    series = json.loads((tmp_path / "series.json").read_text())
    assert {len(one) for name, one in series.items() if name != "width"} == {len(series["p95"])}
    assert max(one for one in series["p95"] if one is not None) > 0
    (image,) = tmp_path.glob("*.png")
    assert image.read_bytes().startswith(PNG)


def test_the_header_contains_the_verdict(
    recording: Recording, signals: Signals, summary_of: Callable[..., Summary]
) -> None:
    summary = summary_of(recording, signals)
    run = run_series(summary, recording, signals)
    broken = [parse_threshold("p95<500ms").evaluate(summary)]
    assert "a threshold failed" in to_html(summary.model_copy(update={"thresholds": broken}), run)
    late = summary.model_copy(update={"valid": False, "invalid_reasons": ["sent late"]})
    assert "sent late. Do not use the times below." in to_html(late, run)


def test_names_are_escaped(
    recording: Recording, signals: Signals, summary_of: Callable[..., Summary]
) -> None:
    recording.fail(0, 1.0, "<script>alert(1)</script>")
    summary = summary_of(recording, signals, description="<img src=x onerror=alert(1)>")
    html = to_html(summary, run_series(summary, recording, signals))
    assert "<script>" not in html
    assert "<img src=x" not in html


def test_a_run_without_prometheus_has_no_panel_of_replicas(
    recording: Recording, signals: Signals, summary_of: Callable[..., Summary]
) -> None:
    with_replicas = to_html(
        summary_of(recording, signals), run_series(summary_of(recording), recording, signals)
    )
    without = to_html(
        summary_of(recording), run_series(summary_of(recording), recording, Signals())
    )
    assert "<span>replicas</span>" in with_replicas
    assert "<span>replicas</span>" not in without


def test_a_run_without_a_response_has_a_report(
    tmp_path: Path, summary_of: Callable[..., Summary]
) -> None:
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
def test_a_panel_draws_each_line_of_its_legend(
    recording: Recording,
    signals: Signals,
    summary_of: Callable[..., Summary],
    panel: str,
    lines: list[str],
) -> None:
    run = run_series(summary_of(recording, signals), recording, signals)
    figure = draw([panel], run, LIGHT)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert sorted(text.get_text() for text in legend.get_texts()) == sorted(lines)
    if panel == "replicas":
        drawn = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
        (queue,) = figure.axes[1].get_lines()  # on an axis of its own
        for line, samples in (
            (drawn["ready"], signals.ready),
            (drawn["desired"], signals.desired),
            (queue, signals.queue),
        ):
            values = [value for _, value in samples]
            assert np.array_equal(np.asarray(line.get_ydata()), [*values, values[-1]])


@pytest.mark.parametrize("form", ["png", "svg"])
def test_plots_are_reproducible(
    recording: Recording, signals: Signals, summary_of: Callable[..., Summary], form: str
) -> None:
    run = run_series(summary_of(recording), recording, signals)
    pictures = {as_bytes(draw(tuple(PANELS), run, DARK, "A run"), form, dpi=40) for _ in range(2)}
    assert len(pictures) == 1


def test_a_long_run_shows_a_sample_of_the_requests(
    summary_of: Callable[..., Summary],
) -> None:
    planned = np.linspace(0, 30, 20_000)
    many = Recording(planned.tolist(), ["light"] * len(planned))
    many.sent[:] = planned
    many.finished[:] = planned + 0.1
    many.status[:] = 200
    run = run_series(summary_of(many), many, Signals())
    picture = draw(("latency",), run, LIGHT)
    dots = picture.axes[0].lines[0]
    assert len(np.asarray(dots.get_xdata())) == 4000


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.25, "250 ms"), (1.0, "1 s"), (2.5, "2.5 s")]
)
def test_an_axis_formats_times_with_their_unit(value: float, text: str) -> None:
    assert seconds_label(value) == text
