"""A dashboard: sections, layout of the panels, variables, annotation, links to the other dashboards."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardCursorSync,
    DashboardLink,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableHide,
    VariableOption,
    VariableRefresh,
)

from tools.generate.grafana.queries import LOGS, PROMETHEUS

# The published port in Compose, unless CONSOLE_PORT moves it: Grafana expands no variable in a dashboard.
CONSOLE: Final = "http://127.0.0.1:8080"
GRID_COLUMNS: Final = 24
TAG: Final = "tidegate"
DEFAULT_FROM: Final = "now-15m"
REFRESH: Final = "5s"
# The window is the query's step, so each change is marked exactly once.
RESIZE_EXPRESSION: Final = (
    'changes(tidegate_autoscaler_desired_replicas{job="autoscaler"}[$__interval]) > 0'
)
RESIZE_STEP_SECONDS: Final = 15
# The pages of the console; every other dashboard links to the Overview.
CONSOLE_PAGES: Final = {"scaling": "/scaling", "model": "/model"}

Variable = builders.CustomVariable | builders.QueryVariable


@dataclass(frozen=True, slots=True)
class PanelRow:
    """Panels side by side, of equal width."""

    height: int
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of panels under one heading."""

    title: str
    rows: Sequence[PanelRow]  # from top to bottom
    # Only the heading is shown, and no query is sent, until somebody opens it. The last section of a
    # dashboard only: its panels' positions follow the heading.
    collapsed: bool = False


class Encoder(JSONEncoder):
    """Encodes links and annotations without a placement, so that Grafana shows them above the panels.

    The SDK sets the placement `inControlsMenu` on each. Grafana then moves them into a menu behind a button,
    and some versions show no link to other dashboards at all.
    """

    def default(self, o: Any) -> Any:
        """An object of the SDK as a dictionary."""
        if isinstance(o, DashboardLink | AnnotationQuery):
            return {name: value for name, value in o.to_json().items() if name != "placement"}
        return super().default(o)


def dashboard(
    name: str,
    description: str,
    sections: Sequence[Section],
    *,
    time_from: str = DEFAULT_FROM,
    with_logs: bool = True,
    variables: Sequence[Variable] = (),
) -> str:
    """The JSON of a dashboard, as Grafana's file provider reads it.

    The URL is `/d/tidegate-<name>`, the description the question that it answers, and `time_from` the start
    of its time range, which ends now. `with_logs` adds Elasticsearch's data sources, filters and resizes;
    `variables` are those of this dashboard only.
    """
    links = builders.DashboardLink("Tidegate").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    builder = (
        builders.Dashboard(f"Tidegate / {name.capitalize()}")
        .uid(f"{TAG}-{name}")
        .description(description)
        .tags([TAG])
        .time(time_from, "now")
        .refresh(REFRESH)
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(links.keep_time(keep_time=True).include_vars(include_vars=True))
        .link(
            builders.DashboardLink("Console")
            .type(DashboardLinkType.LINK)
            .url(CONSOLE + CONSOLE_PAGES.get(name, "/"))
            .icon("external link")
            .tooltip("The console: what has happened, and why")
            .target_blank(target_blank=True)
        )
        .with_variable(
            _data_source_variable("prometheus", "Prometheus", "prometheus", "prometheus")
        )
    )
    if with_logs:
        builder = (
            builder.with_variable(
                _data_source_variable("logs", "Logs", "elasticsearch", "elasticsearch-logs")
            )
            .with_variable(
                _data_source_variable("traces", "Traces", "elasticsearch", "elasticsearch-traces")
            )
            .with_variable(_events_of("namespace", "data_stream.namespace", "Namespaces"))
            .with_variable(_events_of("service", "service.name", "Services"))
        )
        builder = builder.annotation(_resize_annotation())
    for variable in variables:
        builder = builder.with_variable(variable)
    built = builder.build()
    built.panels = _layout(sections)
    return json.dumps(built, cls=Encoder, indent=1, ensure_ascii=False) + "\n"


def panel_id(section: str, title: str = "") -> int:
    """The id of a panel, or of a section's heading if there is no title.

    It depends on the names only: links to a panel stay valid, and a new panel changes no other one. Grafana
    wants an integer that is unique in the dashboard and fits into 32 bits (grafana/grafana, #Panel in
    kinds/dashboard/dashboard_kind.cue).
    """
    return zlib.crc32(f"{section}/{title}".encode()) & 0x7FFFFFFF


def _layout(sections: Sequence[Section]) -> list[Panel | RowPanel]:
    """Every panel with an id and a position; Grafana's automatic layout lets panels overflow."""
    placed: list[Panel | RowPanel] = []
    y = 0
    for section in sections:
        id_ = panel_id(section.title)
        heading = builders.Row(section.title).id(id_).collapsed(section.collapsed).build()
        heading.grid_pos = GridPos(h=1, w=GRID_COLUMNS, x=0, y=y)
        placed.append(heading)
        # Grafana keeps the panels of a collapsed row inside it.
        target: list[Any] = heading.panels if section.collapsed else placed
        y += 1
        for row in section.rows:
            width = GRID_COLUMNS // len(row.panels)
            for index, panel in enumerate(row.panels):
                panel.id_val = panel_id(section.title, panel.title or "")
                panel.grid_pos = GridPos(h=row.height, w=width, x=index * width, y=y)
                target.append(panel)
            y += row.height
    return placed


def _resize_annotation() -> builders.AnnotationQuery:
    """Marks each change of the desired number of replicas."""
    target = prometheus.Dataquery().expr(RESIZE_EXPRESSION).range().ref_id("Anno")
    return (
        builders.AnnotationQuery()
        .name("Resizes")
        .datasource(PROMETHEUS)
        .enable(enable=True)
        .icon_color("purple")
        .title_format("The autoscaler changed the number of replicas")
        .target(target.interval(f"{RESIZE_STEP_SECONDS}s"))
    )


def _data_source_variable(
    name: str, label: str, kind: str, uid: str
) -> builders.DatasourceVariable:
    variable = builders.DatasourceVariable(name).label(label).type(kind)
    if kind == "elasticsearch":
        # Both have the same type: offer each variable only the data sources with its name.
        variable = variable.regex(f"/{label}/i")
    title = "Prometheus" if kind == "prometheus" else f"Elasticsearch {name}"
    return variable.current(VariableOption(selected=True, text=title, value=uid))


def _events_of(name: str, field: str, several: str) -> builders.QueryVariable:
    """Which values of a field are searched, all at first; Prometheus' series have no such label."""
    return (
        builders.QueryVariable(name)
        .label(name.capitalize())
        .description(f"{several} whose events are searched.")
        .datasource(LOGS)
        .query(f'{{"find":"terms","field":"{field}"}}')
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(include_all=True)
        .all_value("*")
        .multi(multi=True)
        .hide(VariableHide.DONT_HIDE)
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
