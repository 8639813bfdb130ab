"""The report as one self-contained HTML file, for light and dark screens."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from tidegate.drift.report import classifier_summary, error_plots, plots, regressor_summary
from tidegate.drift.report.findings import CommonFindings, Findings
from tidegate.drift.report.number_format import signed
from tidegate.drift.report.regressor_findings import RegressorFindings
from tidegate.loadgen.report import theme as report_theme
from tidegate.loadgen.report.plots import as_bytes
from tidegate.loadgen.report.theme import DARK, LIGHT, Theme

MAX_DRIFTED: Final = 4
# docs/reference/kibana.md explains it; {} is the trace id.
DISCOVER: Final = (
    "/app/discover#/?_g=(time:(from:now-7d,to:now))&_a=(columns:!(data_stream.type,service.node.name,"
    "message,event.duration,event.outcome),dataSource:(dataViewId:tidegate-events,type:dataView),"
    "filters:!(),interval:auto,query:(language:kuery,query:'trace.id:%22{}%22'),"
    "sort:!(!('@timestamp',asc)))"
)


DrawPlot: TypeAlias = Callable[[Theme], Figure]
AnyFindings: TypeAlias = Findings | RegressorFindings


def to_html(
    found: AnyFindings,
    *,
    kibana: str = "",
    model_source: str = "",
    note: str = "",
    command_prefix: str = "",
    option: str = "--model",
) -> str:
    """The report as HTML, including its plots.

    Args:
        found: the findings.
        kibana: the URL of Kibana, for links to requests; empty if there is none.
        model_source: where the model comes from.
        note: a sentence at the top.
        command_prefix: environment variables to set for a command that shows a request.
        option: the option that names another version.
    """
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(report_theme.__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent,
        time=_time,
        points=_points,
        short_time=_short_time(found),
    )
    if isinstance(found, RegressorFindings):
        environment.filters.update(value=found.format, signed=signed(found.format))
    template, drawn, sentences = _view(found)
    return environment.get_template(template).render(
        found=found,
        badge=badge(found),
        summary=sentences,
        drifted=[_most_drifted(found, number) for number in range(len(found.periods))],
        plots={name: _data_uris(plot) for name, plot in drawn.items()},
        max_points=error_plots.MAX_POINTS,
        trace_url=lambda trace: kibana_trace_url(kibana, trace) if kibana else "",
        model_source=model_source,
        note=note,
        command_prefix=command_prefix,
        option=option,
        light=LIGHT,
        dark=DARK,
    )


def badge(found: AnyFindings) -> tuple[str, str]:
    """The summary of the report, and its level: good, doubtful or bad."""
    if isinstance(found, RegressorFindings):
        return regressor_summary.badge(found)
    return classifier_summary.badge(found)


def _view(found: AnyFindings) -> tuple[str, dict[str, DrawPlot], list[str]]:
    """The template, the plots by name, and the sentences at the top."""
    drawn: dict[str, DrawPlot]
    if isinstance(found, RegressorFindings):
        names = error_plots.plot_names(found)
        drawn = {name: partial(error_plots.PLOTS[name], found) for name in names}
        return "regressor.html.j2", drawn, regressor_summary.summary(found)
    drawn = {name: partial(plots.PLOTS[name], found) for name in plots.plot_names(found)}
    return "classifier.html.j2", drawn, []


def kibana_trace_url(kibana: str, trace: str) -> str:
    """The page of Kibana with every event of a trace."""
    return kibana.rstrip("/") + DISCOVER.format(quote(trace, safe=""))


def _most_drifted(found: CommonFindings, period: int) -> list[tuple[str, float]] | None:
    """The features that drifted most in a period, by PSI; None if no rows were counted in it."""
    indices = [(each.name, each.psi_by_period()[period]) for each in found.distributions]
    if all(i is None for _, i in indices):
        return None
    over = [(name, i) for name, i in indices if i is not None and i > found.drift.psi_warning]
    return sorted(over, key=lambda pair: -pair[1])[:MAX_DRIFTED]


def _data_uris(plot: DrawPlot) -> Mapping[str, str]:
    uris = {}
    for theme in (LIGHT, DARK):
        image = as_bytes(plot(theme), "svg")
        uris[theme.name] = "data:image/svg+xml;base64," + base64.b64encode(image).decode("ascii")
    return uris


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f}"


def _short_time(found: CommonFindings) -> Callable[[float], str]:
    """Formats a time without its date if the report covers less than a day."""
    if found.span.end - found.span.begin >= 86_400:
        return _time
    return lambda seconds: _time(seconds)[11:]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
