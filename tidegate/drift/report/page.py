"""The report as one self-contained HTML file, for light and dark screens."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tidegate.drift.report.findings import Findings
from tidegate.drift.report.plots import PLOTS, plot_names
from tidegate.loadgen.report import theme as report_theme
from tidegate.loadgen.report.plots import as_bytes
from tidegate.loadgen.report.theme import DARK, LIGHT

TEMPLATE: Final = "report.html.j2"
MAX_DRIFTED: Final = 4
# docs/reference/kibana.md explains it; {} is the trace id.
DISCOVER: Final = (
    "/app/discover#/?_g=(time:(from:now-7d,to:now))&_a=(columns:!(data_stream.type,service.node.name,"
    "message,event.duration,event.outcome),dataSource:(dataViewId:tidegate-events,type:dataView),"
    "filters:!(),interval:auto,query:(language:kuery,query:'trace.id:%22{}%22'),"
    "sort:!(!('@timestamp',asc)))"
)


def to_html(
    found: Findings,
    *,
    kibana: str = "",
    model_source: str = "",
    note: str = "",
    command_prefix: str = "",
) -> str:
    """The report as HTML, including its plots.

    Args:
        found: the findings.
        kibana: the URL of Kibana, for links to requests; empty if there is none.
        model_source: where the model comes from.
        note: a sentence at the top.
        command_prefix: environment variables to set for a command that shows a request.
    """
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(report_theme.__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent, time=_time, points=_points, short_time=_short_time(found)
    )
    return environment.get_template(TEMPLATE).render(
        found=found,
        badge=badge(found),
        drifted=[_most_drifted(found, number) for number in range(len(found.periods))],
        plots={name: _data_uris(found, name) for name in plot_names(found)},
        trace_url=lambda trace: kibana_trace_url(kibana, trace) if kibana else "",
        model_source=model_source,
        note=note,
        command_prefix=command_prefix,
        light=LIGHT,
        dark=DARK,
    )


def badge(found: Findings) -> tuple[str, str]:
    """The summary of the report, and its level: good, doubtful or bad."""
    drop = _drop(found)
    dropped = [f"accuracy down {100 * drop:.1f} percentage points"]
    unknown = ["drift unknown"] if found.counters.error else []
    if drop > found.drift.accuracy_drop_critical:
        return ", ".join(dropped + unknown), "bad"
    if found.drifted:
        count = len(found.drifted)
        return f"{count} feature{'s' * (count > 1)} drifted", "doubtful"
    if drop > found.drift.accuracy_drop_warning:
        return ", ".join(dropped + unknown), "doubtful"
    return (unknown[0], "doubtful") if unknown else ("no drift found", "good")


def kibana_trace_url(kibana: str, trace: str) -> str:
    """The page of Kibana with every event of a trace."""
    return kibana.rstrip("/") + DISCOVER.format(quote(trace, safe=""))


def _drop(found: Findings) -> float:
    """The drop of accuracy from held-out rows to the newest period; 0 if unknown or on too few labels."""
    newest, held_out = found.newest, found.model.accuracy
    if newest is None or newest.accuracy is None or held_out is None:
        return 0.0
    return held_out - newest.accuracy if newest.labels >= found.drift.outcomes else 0.0


def _most_drifted(found: Findings, period: int) -> list[tuple[str, float]] | None:
    """The features that drifted most in a period, by PSI; None if no rows were counted in it."""
    indices = [(each.name, each.psi_by_period()[period]) for each in found.counters.features]
    if all(i is None for _, i in indices):
        return None
    over = [(name, i) for name, i in indices if i is not None and i > found.drift.psi_warning]
    return sorted(over, key=lambda pair: -pair[1])[:MAX_DRIFTED]


def _data_uris(found: Findings, name: str) -> Mapping[str, str]:
    uris = {}
    for theme in (LIGHT, DARK):
        image = as_bytes(PLOTS[name](found, theme), "svg")
        uris[theme.name] = "data:image/svg+xml;base64," + base64.b64encode(image).decode("ascii")
    return uris


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f}"


def _short_time(found: Findings) -> Callable[[float], str]:
    """Formats a time without its date if the report covers less than a day."""
    if found.span.end - found.span.begin >= 86_400:
        return _time
    return lambda seconds: _time(seconds)[11:]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
