"""The page: one HTML file that needs no other, for light and for dark screens."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tidegate.drift.report.findings import Findings
from tidegate.drift.report.plots import PLOTS, names_of
from tidegate.loadgen.report import theme as report_theme
from tidegate.loadgen.report.plots import as_bytes
from tidegate.loadgen.report.theme import DARK, LIGHT

TEMPLATE: Final = "report.html.j2"
DRIFTED: Final = 4
# docs/reference/kibana.md explains it; ID is put in the place of {}.
KIBANA: Final = (
    "/app/discover#/?_g=(time:(from:now-7d,to:now))&_a=(columns:!(data_stream.type,service.node.name,"
    "message,event.duration,event.outcome),dataSource:(dataViewId:tidegate-events,type:dataView),"
    "filters:!(),interval:auto,query:(language:kuery,query:'trace.id:%22{}%22'),"
    "sort:!(!('@timestamp',asc)))"
)


def to_html(
    found: Findings, *, kibana: str = "", why: str = "", note: str = "", before: str = ""
) -> str:
    """The report as HTML, its plots inside.

    Args:
        found: what it says.
        kibana: where Kibana is, to link requests there; empty if there is none.
        why: which model it is about, and why.
        note: a sentence above it all.
        before: what to type before a command that shows a request, where its events lie elsewhere than usual.
    """
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(report_theme.__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(share=_share, clock=_clock, points=_points, hour=_hour(found))
    return environment.get_template(TEMPLATE).render(
        found=found,
        badge=badge(found),
        most=[_most(found, number) for number in range(len(found.periods))],
        plots={name: _both(found, name) for name in names_of(found)},
        trace_url=lambda trace: kibana_url(kibana, trace) if kibana else "",
        why=why,
        note=note,
        before=before,
        light=LIGHT,
        dark=DARK,
    )


def badge(found: Findings) -> tuple[str, str]:
    """The whole report in some words, and how good that is."""
    drop = _drop(found)
    fell = [f"{100 * drop:.1f} points less often right"]
    unknown = ["drift unknown"] if found.counted.trouble else []
    if drop > found.drift.accuracy_drop_critical:
        return ", ".join(fell + unknown), "bad"
    if found.drifted:
        count = len(found.drifted)
        return f"{count} feature{'s' * (count > 1)} drifted", "doubtful"
    if drop > found.drift.accuracy_drop_warning:
        return ", ".join(fell + unknown), "doubtful"
    return (unknown[0], "doubtful") if unknown else ("steady", "good")


def kibana_url(kibana: str, trace: str) -> str:
    """Where Kibana shows every event of a trace."""
    return kibana.rstrip("/") + KIBANA.format(quote(trace, safe=""))


def _drop(found: Findings) -> float:
    """By how much the newest period's accuracy is below the held-out rows'; 0 if nobody can tell."""
    newest, usual = found.newest, found.model.accuracy
    if newest is None or newest.accuracy is None or usual is None:
        return 0.0
    return usual - newest.accuracy if newest.labels >= found.drift.outcomes else 0.0


def _most(found: Findings, period: int) -> list[tuple[str, float]] | None:
    """The features that drifted in a period, the furthest first; None if nothing was counted in it."""
    indices = [(each.name, each.indices()[period]) for each in found.counted.features]
    if all(i is None for _, i in indices):
        return None
    over = [(name, i) for name, i in indices if i is not None and i > found.drift.psi_warning]
    return sorted(over, key=lambda pair: -pair[1])[:DRIFTED]


def _both(found: Findings, name: str) -> Mapping[str, str]:
    uris = {}
    for theme in (LIGHT, DARK):
        image = as_bytes(PLOTS[name](found, theme), "svg")
        uris[theme.name] = "data:image/svg+xml;base64," + base64.b64encode(image).decode("ascii")
    return uris


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f}"


def _hour(found: Findings) -> Callable[[float], str]:
    """How moments are told: by the hour alone where the whole report is of less than a day."""
    if found.span.end - found.span.begin >= 86_400:
        return _clock
    return lambda seconds: _clock(seconds)[11:]


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
