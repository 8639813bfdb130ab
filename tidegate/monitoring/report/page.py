"""The report as one self-contained HTML file, for light and dark screens."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from tidegate.loadgen.report import theme as report_theme
from tidegate.loadgen.report.plots import as_bytes
from tidegate.loadgen.report.theme import DARK, LIGHT, Theme
from tidegate.monitoring.report.findings import Findings
from tidegate.monitoring.report.plots import PLOTS, plot_names

MAX_DRIFTED: Final = 4

DrawPlot: TypeAlias = Callable[[Theme], Figure]


def to_html(
    found: Findings,
    *,
    trace_url: Callable[[str], str] = lambda trace: "",
    model_source: str = "",
    note: str = "",
    command_prefix: str = "",
    option: str = "--model",
) -> str:
    """The report as HTML, including its plots.

    Args:
        found: the findings.
        trace_url: the address of a page about a request, by its trace id; empty if there is none.
        model_source: where the model comes from, in words.
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
    environment.filters.update(time=_time, short_time=_short_time(found))
    return environment.get_template("report.html.j2").render(
        found=found,
        task=found.task,
        measure=found.task.format(found.overall),
        detail_note=found.task.by_score(found.rows).note if found.bins else "",
        drifted=[_most_drifted(found, number) for number in range(len(found.periods))],
        plots={name: _data_uris(partial(PLOTS[name], found)) for name in plot_names(found)},
        by_psi=sorted(found.distributions, key=lambda each: -(each.psi or 0.0)),
        trace_url=trace_url,
        model_source=model_source,
        note=note,
        command_prefix=command_prefix,
        option=option,
        light=LIGHT,
        dark=DARK,
    )


def _most_drifted(found: Findings, period: int) -> list[tuple[str, float]] | None:
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


def _short_time(found: Findings) -> Callable[[float], str]:
    """Formats a time without its date if the report covers less than a day."""
    if found.span.end - found.span.begin >= 86_400:
        return _time
    return lambda seconds: _time(seconds)[11:]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
