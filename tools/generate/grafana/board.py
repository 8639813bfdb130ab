"""A dashboard: its sections, the layout of its panels, its variables, and links to the other dashboards."""

from __future__ import annotations

import json
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

GRID_COLUMNS: Final = 24
TAG: Final = "tidegate"
SHOWN: Final = "now-15m"
REFRESHED: Final = "5s"
# Over the interval between two samples, so that each change is marked exactly once.
RESIZED: Final = 'changes(tidegate_autoscaler_desired_replicas{job="autoscaler"}[$__interval]) > 0'
MARKED_SECONDS: Final = 15


Variable = builders.CustomVariable | builders.QueryVariable


@dataclass(frozen=True, slots=True)
class Line:
    """Panels side by side, of equal width."""

    height: int
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Section:
    """Lines of panels under one heading."""

    title: str
    lines: Sequence[Line]


class Encoder(JSONEncoder):
    """Writes links and annotations without a placement, so that Grafana shows them above the panels.

    The SDK sets `inControlsMenu` on each. Grafana then moves it into a menu behind a button; some versions
    show no link to other dashboards at all.
    """

    def default(self, o: Any) -> Any:
        """An object of the SDK as a dictionary."""
        if isinstance(o, DashboardLink | AnnotationQuery):
            return {name: value for name, value in o.to_json().items() if name != "placement"}
        return super().default(o)


def dashboard(
    name: str,
    says: str,
    sections: Sequence[Section],
    *,
    shown: str = SHOWN,
    logs: bool = True,
    choices: Sequence[Variable] = (),
) -> str:
    """The JSON of a dashboard, as Grafana's file provider reads it.

    Args:
        name: one word; its address is `/d/tidegate-<name>`.
        says: the question that it answers.
        sections: from top to bottom.
        shown: the beginning of the time that is shown at first.
        logs: whether it searches in Elasticsearch too.
        choices: variables of its own.
    """
    others = builders.DashboardLink("Tidegate").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    builder = (
        builders.Dashboard(f"Tidegate / {name.capitalize()}")
        .uid(f"{TAG}-{name}")
        .description(says)
        .tags([TAG])
        .time(shown, "now")
        .refresh(REFRESHED)
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(others.keep_time(keep_time=True).include_vars(include_vars=True))
        .with_variable(_source("prometheus", "Prometheus", "prometheus", "prometheus"))
    )
    if logs:
        builder = (
            builder.with_variable(_source("logs", "Logs", "elasticsearch", "elasticsearch-logs"))
            .with_variable(_source("traces", "Traces", "elasticsearch", "elasticsearch-traces"))
            .with_variable(_namespace())
        )
        builder = builder.annotation(_resizes())
    for choice in choices:
        builder = builder.with_variable(choice)
    built = builder.build()
    built.panels = _placed(sections)
    return json.dumps(built, cls=Encoder, indent=1, ensure_ascii=False) + "\n"


def _placed(sections: Sequence[Section]) -> list[Panel | RowPanel]:
    """Every panel with its own id and position; Grafana's automatic layout lets them overflow."""
    placed: list[Panel | RowPanel] = []
    y = 0
    for section in sections:
        heading = builders.Row(section.title).id(len(placed) + 1).build()
        heading.grid_pos = GridPos(h=1, w=GRID_COLUMNS, x=0, y=y)
        placed.append(heading)
        y += 1
        for line in section.lines:
            width = GRID_COLUMNS // len(line.panels)
            for index, panel in enumerate(line.panels):
                panel.id_val = len(placed) + 1
                panel.grid_pos = GridPos(h=line.height, w=width, x=index * width, y=y)
                placed.append(panel)
            y += line.height
    return placed


def _resizes() -> builders.AnnotationQuery:
    """Marks where the autoscaler asked for another number of replicas."""
    target = prometheus.Dataquery().expr(RESIZED).range().ref_id("Anno")
    return (
        builders.AnnotationQuery()
        .name("Resizes")
        .datasource(PROMETHEUS)
        .enable(enable=True)
        .icon_color("purple")
        .title_format("The autoscaler asks for another number of replicas")
        .target(target.interval(f"{MARKED_SECONDS}s"))
    )


def _source(name: str, label: str, kind: str, uid: str) -> builders.DatasourceVariable:
    variable = builders.DatasourceVariable(name).label(label).type(kind)
    if kind == "elasticsearch":
        # Both are of one kind; each choice offers those that are named for it.
        variable = variable.regex(f"/{label}/i")
    title = "Prometheus" if kind == "prometheus" else f"Elasticsearch {name}"
    return variable.current(VariableOption(selected=True, text=title, value=uid))


def _namespace() -> builders.QueryVariable:
    return (
        builders.QueryVariable("namespace")
        .label("Namespace")
        .description("Data streams of these namespaces are searched.")
        .datasource(LOGS)
        .query('{"find":"terms","field":"data_stream.namespace"}')
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(include_all=True)
        .all_value("*")
        .multi(multi=True)
        .hide(VariableHide.DONT_HIDE)
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
