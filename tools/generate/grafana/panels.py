"""Each type of panel in one style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import (
    heatmap,
    logs,
    stat,
    statetimeline,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.builders.dashboard import DashboardLink, ThresholdsConfig
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataTransformerConfig,
    DynamicConfigValue,
    Panel,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.text import TextMode

from tools.generate.grafana.queries import Query
from tools.generate.grafana.runbook_text import runbook_url

GOOD: Final = "green"
WARNING: Final = "orange"
BAD: Final = "red"
# Above the first value the panel turns orange, above the second red; with a single value, red.
Thresholds = Sequence[float]


def time_series_panel(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    thresholds: Thresholds = (),
    stacked: bool = False,
    bars: bool = False,
    right_axis: Mapping[str, str] | None = None,
    soft_max: float | None = None,
    signed: bool = False,
    no_data_text: str = "",
    alerts: Sequence[str] = (),
) -> Panel:
    """Lines over time, one or more for each query.

    Args:
        title: the panel's heading.
        description: the text of its information icon.
        queries: the queries.
        unit: Grafana's id of the unit.
        thresholds: drawn as dashed lines.
        stacked: for parts of a whole.
        bars: for counts per interval.
        right_axis: units by a pattern of line names; matching lines use the right axis.
        soft_max: the left axis reaches at least this value.
        signed: values may be negative; otherwise the left axis starts at 0.
        no_data_text: why the panel may be empty, shown while it is. `tidegate verify` wants data in each
            panel that has no such text.
        alerts: alerts on the same data; the panel links to their runbooks.
    """
    legend = common_builders.VizLegendOptions().show_legend(show_legend=True)
    legend = legend.display_mode(common.LegendDisplayMode.LIST)
    tooltip = common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI)
    panel = (
        timeseries.Panel()
        .unit(unit)
        .draw_style(common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE)
        .fill_opacity(60 if bars else 25 if stacked else 8)
        .line_width(1)
        .show_points(common.VisibilityMode.NEVER)
        .legend(legend.placement(common.LegendPlacement.BOTTOM))
        .tooltip(tooltip.sort(common.SortOrder.DESCENDING))
    )
    if stacked:
        panel = panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if not signed:
        panel = panel.min(0)
    if no_data_text:
        panel = panel.no_value(no_data_text)
    if soft_max is not None:
        panel = panel.axis_soft_max(soft_max)
    if thresholds:
        style = common_builders.GraphThresholdsStyleConfig().mode(
            common.GraphThresholdsStyleMode.DASHED
        )
        panel = panel.thresholds(_steps(thresholds)).thresholds_style(style)
    for pattern, right_unit in (right_axis or {}).items():
        properties = [
            DynamicConfigValue(id_val="custom.axisPlacement", value="right"),
            DynamicConfigValue(id_val="custom.lineInterpolation", value="stepAfter"),
            DynamicConfigValue(id_val="custom.lineWidth", value=2),
            DynamicConfigValue(id_val="custom.fillOpacity", value=0),
            DynamicConfigValue(id_val="unit", value=right_unit),
        ]
        panel = panel.override_by_regexp(pattern, properties)
    return _with_queries(panel.build(), title, description, queries, alerts)


def stat_panel(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    thresholds: Thresholds = (),
    low_is_bad: bool = False,
    decimals: int | None = None,
    no_data_text: str = "",
    alerts: Sequence[str] = (),
) -> Panel:
    """One number, with a sparkline if the query is a range query.

    The query must return one series. The colour changes at the thresholds; with `low_is_bad` low values are
    red, not high ones. Without `decimals` Grafana chooses the number of digits.
    """
    panel = (
        stat.Panel()
        .unit(unit)
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.AREA)
        .reduce_options(
            common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)
        )
        .thresholds(_steps(thresholds, low_is_bad=low_is_bad))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    if no_data_text:
        panel = panel.no_value(no_data_text)
    return _with_queries(panel.build(), title, description, (query,), alerts)


def heatmap_panel(title: str, description: str, query: Query, *, unit: str) -> Panel:
    """The number of observations in each bucket of a histogram over time."""
    colour = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges")
    panel = (
        heatmap.Panel()
        .calculate(calculate=False)
        .color(colour.exponent(0.5).steps(64))
        .y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(common.AxisPlacement.LEFT))
        .cell_gap(1)
        .exemplars_color("rgba(31,120,193,0.9)")
        .show_legend()
    )
    return _with_queries(panel.build(), title, description, (query,))


def state_timeline_panel(
    title: str,
    description: str,
    *queries: Query,
    value_mappings: Mapping[str, tuple[str, str]] | None = None,
    alerts: Sequence[str] = (),
) -> Panel:
    """States over time, one row for each series.

    The mappings give the text and the colour of each value; None shows the number itself.
    """
    legend = common_builders.VizLegendOptions().show_legend(show_legend=bool(value_mappings))
    panel = (
        statetimeline.Panel()
        .merge_values(merge_values=True)
        .show_value(common.VisibilityMode.NEVER if value_mappings else common.VisibilityMode.AUTO)
        .row_height(0.85)
        .legend(legend.display_mode(common.LegendDisplayMode.LIST))
    )
    if value_mappings:
        results = {
            value: ValueMappingResult(text=label, color=colour, index=index)
            for index, (value, (label, colour)) in enumerate(value_mappings.items())
        }
        panel = panel.mappings([ValueMap(options=results)])
    return _with_queries(panel.build(), title, description, queries, alerts)


def logs_panel(title: str, description: str, query: Query, no_data_text: str = "") -> Panel:
    """Log lines, the newest first; a line expands to its fields and links.

    With `no_data_text` the panel may be empty, as for `time_series_panel`.
    """
    panel = (
        logs.Panel()
        .show_time(show_time=True)
        .enable_log_details(enable_log_details=True)
        .wrap_log_message(wrap_log_message=True)
        .sort_order(common.LogsSortOrder.DESCENDING)
        .dedup_strategy(common.LogsDedupStrategy.NONE)
    )
    if no_data_text:
        panel = panel.no_value(no_data_text)
    return _with_queries(panel.build(), title, description, (query,))


def table_panel(
    title: str,
    description: str,
    query: Query,
    columns: Mapping[str, str],
    no_data_text: str = "",
) -> Panel:
    """Events as a table; `columns` are the headings of their fields, in this order."""
    only = {"include": {"names": list(columns)}}
    order = {field: index for index, field in enumerate(columns)}
    headings = {"indexByName": order, "renameByName": dict(columns), "excludeByName": {}}
    panel = (
        table.Panel()
        .show_header(show_header=True)
        .filterable(filterable=True)
        .with_transformation(DataTransformerConfig(id_val="filterFieldsByName", options=only))
        .with_transformation(DataTransformerConfig(id_val="organize", options=headings))
    )
    if no_data_text:
        panel = panel.no_value(no_data_text)
    return _with_queries(panel.build(), title, description, (query,))


def text_panel(title: str, markdown: str) -> Panel:
    """Text in Markdown."""
    panel = text.Panel().mode(TextMode.MARKDOWN).content(markdown).title(title)
    return panel.build()


def _steps(thresholds: Thresholds, *, low_is_bad: bool = False) -> ThresholdsConfig:
    colours = [GOOD, WARNING, BAD] if len(thresholds) > 1 else [GOOD, BAD]
    if low_is_bad:
        thresholds, colours = sorted(thresholds), colours[::-1]
    steps = [Threshold(value=None, color=colours[0])]
    steps += [
        Threshold(value=limit, color=colour)
        for limit, colour in zip(thresholds, colours[1:], strict=False)
    ]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _with_queries(
    panel: Panel, title: str, description: str, queries: Sequence[Query], alerts: Sequence[str] = ()
) -> Panel:
    panel.title, panel.description = title, description
    panel.datasource = queries[0].datasource
    for name, query in zip("ABCDEFGH", queries, strict=False):
        query.ref_id = name
    panel.targets = list(queries)
    if alerts:
        panel.links = [
            DashboardLink(f"Runbook: {alert}")
            .type(DashboardLinkType.LINK)
            .url(runbook_url(alert))
            .target_blank(target_blank=True)
            .build()
            for alert in alerts
        ]
    return panel
