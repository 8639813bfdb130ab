"""The kinds of panels, each with a common style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.builders import heatmap, logs, stat, statetimeline, table, text
from grafana_foundation_sdk.builders import timeseries as lines
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
from tools.generate.grafana.runbooks import runbook_url

GOOD: Final = "green"
WARNING: Final = "orange"
BAD: Final = "red"
# Beyond the first value the panel turns orange, beyond the second red.
Limits = Sequence[float]


def graph(
    title: str,
    says: str,
    *queries: Query,
    unit: str,
    limits: Limits = (),
    stacked: bool = False,
    bars: bool = False,
    right: Mapping[str, str] | None = None,
    top: float | None = None,
    signed: bool = False,
    without: str = "",
    alerts: Sequence[str] = (),
) -> Panel:
    """Lines over time.

    Args:
        title: what is shown.
        says: what to look for.
        queries: what is asked.
        unit: Grafana's name of it.
        limits: drawn as dashed lines.
        stacked: parts of a whole, one upon the other.
        bars: counts in a time, rather than a state at each time.
        right: a pattern of line names, and the unit in which they are read at the right axis.
        top: where the left axis ends at least.
        signed: values may be negative.
        without: what to say where there is no data.
        alerts: those that watch it.
    """
    legend = looks.VizLegendOptions().show_legend(show_legend=True)
    legend = legend.display_mode(common.LegendDisplayMode.LIST)
    tooltip = looks.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI)
    panel = (
        lines.Panel()
        .unit(unit)
        .draw_style(common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE)
        .fill_opacity(60 if bars else 25 if stacked else 8)
        .line_width(1)
        .show_points(common.VisibilityMode.NEVER)
        .legend(legend.placement(common.LegendPlacement.BOTTOM))
        .tooltip(tooltip.sort(common.SortOrder.DESCENDING))
    )
    if stacked:
        panel = panel.stacking(looks.StackingConfig().mode(common.StackingMode.NORMAL))
    if not signed:
        panel = panel.min(0)
    if without:
        panel = panel.no_value(without)
    if top is not None:
        panel = panel.axis_soft_max(top)
    if limits:
        style = looks.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_steps(limits)).thresholds_style(style)
    for pattern, its_unit in (right or {}).items():
        properties = [
            DynamicConfigValue(id_val="custom.axisPlacement", value="right"),
            DynamicConfigValue(id_val="custom.lineInterpolation", value="stepAfter"),
            DynamicConfigValue(id_val="custom.lineWidth", value=2),
            DynamicConfigValue(id_val="custom.fillOpacity", value=0),
            DynamicConfigValue(id_val="unit", value=its_unit),
        ]
        panel = panel.override_by_regexp(pattern, properties)
    return _finished(panel.build(), title, says, queries, alerts)


def number(
    title: str,
    says: str,
    query: Query,
    *,
    unit: str,
    limits: Limits = (),
    falling: bool = False,
    decimals: int | None = None,
    alerts: Sequence[str] = (),
) -> Panel:
    """One number, with a sparkline if the query is over time.

    Args:
        title: what is shown.
        says: what to look for.
        query: what is asked: one series.
        unit: Grafana's name of it.
        limits: the colour changes there.
        falling: low is bad, not high.
        decimals: digits behind the point, else as many as are needed.
        alerts: those that watch it.
    """
    panel = (
        stat.Panel()
        .unit(unit)
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.AREA)
        .reduce_options(looks.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
        .thresholds(_steps(limits, falling=falling))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    return _finished(panel.build(), title, says, (query,), alerts)


def heat(title: str, says: str, query: Query, *, unit: str) -> Panel:
    """The counts in each bucket of a histogram, over time."""
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
    return _finished(panel.build(), title, says, (query,))


def timeline(
    title: str,
    says: str,
    *queries: Query,
    words: Mapping[str, tuple[str, str]] | None = None,
    alerts: Sequence[str] = (),
) -> Panel:
    """States over time, a row for each series.

    Args:
        title: what is shown.
        says: what to look for.
        queries: what is asked.
        words: the word and the colour for a value; without any, the number itself is shown.
        alerts: those that watch it.
    """
    legend = looks.VizLegendOptions().show_legend(show_legend=bool(words))
    panel = (
        statetimeline.Panel()
        .merge_values(merge_values=True)
        .show_value(common.VisibilityMode.NEVER if words else common.VisibilityMode.AUTO)
        .row_height(0.85)
        .legend(legend.display_mode(common.LegendDisplayMode.LIST))
    )
    if words:
        results = {
            value: ValueMappingResult(text=word, color=colour, index=index)
            for index, (value, (word, colour)) in enumerate(words.items())
        }
        panel = panel.mappings([ValueMap(options=results)])
    return _finished(panel.build(), title, says, queries, alerts)


def log(title: str, says: str, query: Query) -> Panel:
    """Log lines, the newest first; a line opens to all of its fields and links."""
    panel = (
        logs.Panel()
        .show_time(show_time=True)
        .enable_log_details(enable_log_details=True)
        .wrap_log_message(wrap_log_message=True)
        .sort_order(common.LogsSortOrder.DESCENDING)
        .dedup_strategy(common.LogsDedupStrategy.NONE)
    )
    return _finished(panel.build(), title, says, (query,))


def rows(title: str, says: str, query: Query, columns: Mapping[str, str]) -> Panel:
    """Events as a table.

    Args:
        title: what is shown.
        says: what to look for.
        query: what is asked: documents.
        columns: the fields to show, in this order, and the heading of each.
    """
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
    return _finished(panel.build(), title, says, (query,))


def page(title: str, markdown: str) -> Panel:
    """A text panel."""
    panel = text.Panel().mode(TextMode.MARKDOWN).content(markdown).title(title)
    return panel.build()


def _steps(limits: Limits, *, falling: bool = False) -> ThresholdsConfig:
    colours = [GOOD, WARNING, BAD] if len(limits) > 1 else [GOOD, BAD]
    if falling:
        limits, colours = sorted(limits), colours[::-1]
    steps = [Threshold(value=None, color=colours[0])]
    steps += [
        Threshold(value=limit, color=colour)
        for limit, colour in zip(limits, colours[1:], strict=False)
    ]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _finished(
    panel: Panel, title: str, says: str, queries: Sequence[Query], alerts: Sequence[str] = ()
) -> Panel:
    panel.title, panel.description = title, says
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
