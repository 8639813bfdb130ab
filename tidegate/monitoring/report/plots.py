"""The plots of a report, by the names that its page has for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tidegate.loadgen.report.plots import WIDTH_INCHES, bare, figure, percent_label, title
from tidegate.loadgen.report.theme import STYLE, Theme
from tidegate.monitoring.report.findings import Findings
from tidegate.monitoring.report.quality import Bin
from tidegate.monitoring.tasks.panel import Panel
from tidegate.monitoring.tasks.periods import Period

MAX_CHARACTERS: Final = 110
"""Characters that fit below the axis of a plot."""

Plot: TypeAlias = Callable[[Findings, Theme], Figure]


def quality(found: Findings, theme: Theme) -> Figure:
    """The realised and the expected measure by period; below it what the task shows of a period."""
    lower = found.task.by_period(found.quality, found.counters.predictions)
    with rc_context(STYLE):
        heights = [2.6, 1.7] if lower else [2.6]
        drawn = figure(sum(heights), theme)
        column = drawn.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
        _realised(column[0, 0], found, theme)
        if lower is not None:
            _draw(column[1, 0], lower, theme)
        _name_periods(column[-1, 0], found.periods)
        return drawn


def detail(found: Findings, theme: Theme) -> Figure:
    """The rows by score."""
    panel = found.task.by_score(found.rows)
    with rc_context(STYLE):
        # Without a note it stands beside the segments.
        drawn = figure(3.4, theme, WIDTH_INCHES if panel.note else WIDTH_INCHES * 0.6)
        _draw(drawn.subplots(), panel, theme, found.bins)
        return drawn


PLOTS: Final[dict[str, Plot]] = {
    "quality": quality,
    "detail": detail,
}


def plot_names(found: Findings) -> Sequence[str]:
    """The plots for which there is data."""
    return ("quality", "detail") if found.bins else ("quality",)


def _name_periods(axes: Axes, periods: Sequence[Period]) -> None:
    """Name the periods below the axis; only some of them if their names would overlap."""
    characters = sum(len(each.name) + 1 for each in periods)
    every = max(1, math.ceil(characters / MAX_CHARACTERS))
    shown = range(0, len(periods), every)
    axes.set_xticks(shown, [periods[number].name for number in shown])


def _realised(axes: Axes, found: Findings, theme: Theme) -> None:
    bare(axes, theme)
    at = np.arange(len(found.periods))
    axes.plot(
        at, _values(each.expected for each in found.quality),
        color=theme.sent, linewidth=1.3, linestyle=(0, (4, 2)), label="expected",
    )  # fmt: skip
    axes.errorbar(
        at, _values(each.realised for each in found.quality),
        yerr=[each.margin for each in found.quality], color=theme.p95, marker="o", markersize=4,
        linewidth=2, elinewidth=1, label="realised (± 2 standard errors)",
    )  # fmt: skip
    held_out = found.task.held_out()
    if held_out is not None:
        axes.axhline(held_out, color=theme.replicas, linewidth=1, label="held-out rows")
    if found.task.fractions:
        axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
    else:
        axes.set_ylim(bottom=0)
    title(axes, f"{found.task.title()}, by the time of the response", theme)
    _legend(axes, theme)


def _draw(axes: Axes, panel: Panel, theme: Theme, bins: Sequence[Bin] = ()) -> None:
    bare(axes, theme)
    if panel.points is not None:
        axes.scatter(*panel.points, s=7, color=theme.planned, linewidths=0, rasterized=True)
    for line in panel.lines:
        style = {"color": getattr(theme, line.colour), "linestyle": line.style}
        if isinstance(line.y, Sequence):
            at = range(len(line.y)) if line.x is None else line.x
            marker = "o" if line.marked else ""
            axes.plot(at, line.y, marker=marker, markersize=4, label=line.name, **style)
        else:
            axes.axhline(line.y, linewidth=1, label=line.name, **style)
    score = [each.score for each in bins]
    if panel.band:
        axes.fill_between(
            score, [each.low for each in bins], [each.high for each in bins],
            color=theme.p95, alpha=0.15, linewidth=0, label="5th to 95th percentile",
        )  # fmt: skip
    if panel.means:
        axes.errorbar(
            score, [each.mean for each in bins], yerr=[each.margin for each in bins],
            color=theme.p95, marker="o", markersize=4, linewidth=1.8, elinewidth=1,
            label=f"{panel.means} (± 2 standard errors)",
        )  # fmt: skip
    axes.set_ylim(*panel.limits)
    if panel.fractions:
        axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
    if panel.x_label:
        axes.set_xlabel(panel.x_label, color=theme.faint)
        if panel.fractions:
            axes.xaxis.set_major_formatter(FuncFormatter(percent_label))
    title(axes, panel.title, theme)
    if axes.get_legend_handles_labels()[1]:
        _legend(axes, theme)


def _values(values: Iterable[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _legend(axes: Axes, theme: Theme) -> None:
    """Show the legend above the plot, to the right of its title."""
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=3,
        frameon=False,
        labelcolor=theme.ink,
        handlelength=1.4,
        borderaxespad=0.1,
    )
