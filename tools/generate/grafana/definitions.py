"""Reads a dashboard's sections from the YAML file of its name.

A file has the dashboard's `description`, and its `sections` by their titles: rows with a `height` in units of
Grafana's grid, and panels side by side. A panel names its kind with its title, then `about`, its queries, and
what the function of its kind in panels.py takes. Queries of Prometheus are `lines` (by their legends, over
time), `exemplars` (the same, with exemplars), `now` (one value) and `buckets` (of a histogram); of
Elasticsearch `search` (log lines), `documents`, `count` and `percentile`. `<name>` is a value of values.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.dashboard import Panel, VariableOption, VariableRefresh

from tidegate.rules.quality_rules import WINDOWS
from tidegate.settings import Settings
from tools.generate.grafana import panels, queries
from tools.generate.grafana.dashboard import PanelRow, Section, Variable, dashboard
from tools.generate.grafana.slo_panels import error_budget_row
from tools.generate.grafana.values import values

ERROR_BUDGETS: Final = "error budgets"
"""In the place of a section's rows."""
KINDS: Final[Mapping[str, Callable[..., Panel]]] = {
    "series": panels.time_series_panel,
    "stat": panels.stat_panel,
    "states": panels.state_timeline_panel,
    "heatmap": panels.heatmap_panel,
    "logs": panels.logs_panel,
    "table": panels.table_panel,
}
_VALUE: Final = re.compile(r"<(\w+)>")


def dashboard_json(name: str, settings: Settings) -> str:
    """The JSON of a dashboard.

    Raises:
        KeyError: the file names a value, or a kind of panel, that does not exist.
        TypeError: a panel has a word that its kind does not take.
    """
    known = values(settings)
    source = Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8")
    text = _VALUE.sub(lambda found: known[found[1]], source)
    content: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    collapsed = content.pop("collapsed", [])
    sections = [
        Section(title, _rows(rows, settings), collapsed=title in collapsed)
        for title, rows in content.pop("sections").items()
    ]
    variables = _model_variables() if name == "model" else ()
    return dashboard(name, sections=sections, variables=variables, **content)


def _model_variables() -> tuple[Variable, ...]:
    """The window over which rows are counted, and the feature to show."""
    window = (
        builders.CustomVariable("window")
        .label("Window")
        .description("The time over which rows and labels are counted.")
        .values(",".join(WINDOWS))
        .current(VariableOption(selected=True, text=WINDOWS[0], value=WINDOWS[0]))
    )
    feature = (
        builders.QueryVariable("feature")
        .label("Feature")
        .datasource(queries.PROMETHEUS)
        .query("label_values(ml_feature_reference_samples, feature)")
        .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
    )
    return window, feature


def _rows(rows: Any, settings: Settings) -> list[PanelRow]:
    if rows == ERROR_BUDGETS:
        return [error_budget_row(settings.slo)]
    return [PanelRow(row["height"], [_panel(dict(one)) for one in row["panels"]]) for row in rows]


def _panel(found: dict[str, Any]) -> Panel:
    (kind,) = KINDS.keys() & found.keys()
    title, about, asked = found.pop(kind), found.pop("about"), list(_queries(found))
    return KINDS[kind](title, about, *asked, **found)


def _queries(panel: dict[str, Any]) -> Iterator[queries.Query]:
    """The queries of a panel, which are taken out of it."""
    for legend, expression in panel.pop("lines", {}).items():
        yield queries.range_query(expression, legend)
    for legend, expression in panel.pop("exemplars", {}).items():
        yield queries.range_query(expression, legend, exemplars=True)
    for word, of_one in (
        ("now", queries.instant_query),
        ("buckets", queries.heatmap_query),
        ("search", queries.log_query),
        ("documents", queries.document_query),
    ):
        if word in panel:
            yield of_one(panel.pop(word))
    for word, of_several in (
        ("count", queries.count_query),
        ("percentile", queries.percentile_query),
    ):
        if word in panel:
            yield of_several(**panel.pop(word))
