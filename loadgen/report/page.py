"""The report: a self-contained HTML file, and its overview as a PNG file."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tidegate.loadgen.report.plots import OVERVIEW, as_bytes, draw
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.runs import REPORT, SERIES
from tidegate.loadgen.report.series import RunSeries, as_json, narrative, run_series
from tidegate.loadgen.report.summary import Summary, duration_text
from tidegate.loadgen.report.theme import DARK, LIGHT, Theme
from tidegate.loadgen.report.verdict import verdict
from tidegate.loadgen.send.record import Recording

TEMPLATE: Final = "report.html.j2"


def write_report(folder: Path, summary: Summary, recording: Recording, series: Signals) -> Path:
    """Write the overview, the series of the plots and the report; return the path of the report."""
    run = run_series(summary, recording, series)
    (folder / SERIES).write_text(as_json(run), encoding="utf-8")
    overview = draw(OVERVIEW, run, LIGHT, headline(summary))
    (folder / "overview.png").write_bytes(as_bytes(overview, "png"))
    path = folder / REPORT
    path.write_text(to_html(summary, run), encoding="utf-8")
    return path


def to_html(summary: Summary, run: RunSeries) -> str:
    """Return the report as HTML with embedded plots, for light and dark colour schemes."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration_text, percent=lambda value: f"{value:.1%}")
    return environment.get_template(TEMPLATE).render(
        run=summary,
        rows=[("all", summary), *summary.by_kind.items()],
        narrative=narrative(run),
        verdict=verdict(summary),
        plots={
            name: {theme.name: _uri(panels, run, theme) for theme in (LIGHT, DARK)}
            for name, panels in plots_of(run, kinds=bool(summary.by_kind)).items()
        },
        light=LIGHT,
        dark=DARK,
    )


def plots_of(run: RunSeries, *, kinds: bool) -> dict[str, tuple[str, ...]]:
    """Return the panels of each plot of the report: of replicas with their data, of kinds with those."""
    shown = tuple(name for name in OVERVIEW if name != "replicas" or run.signals.ready)
    if kinds:
        return {"overview": shown, "kinds and failures": ("latency-by-kind", "errors")}
    return {"overview": shown, "failures": ("errors",)}


def headline(summary: Summary) -> str:
    """Return the headline of a plot."""
    return (
        f"{summary.scenario}: {summary.planned:,} requests in {summary.duration_seconds:g} s, "
        f"{summary.failed:,} failed; p95 {duration_text(summary.response_p95_seconds)}, "
        f"in the last third {duration_text(summary.response_p95_last_third_seconds)}"
    )


def _uri(panels: tuple[str, ...], run: RunSeries, theme: Theme) -> str:
    image = as_bytes(draw(panels, run, theme), "svg")
    return "data:image/svg+xml;base64," + base64.b64encode(image).decode("ascii")
