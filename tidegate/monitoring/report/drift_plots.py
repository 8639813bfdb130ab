"""The plots of distributions, in each period and at training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tidegate.loadgen.report.plots import bare, figure, percent_label
from tidegate.loadgen.report.theme import STYLE, Theme
from tidegate.monitoring.counting.distributions import Distribution
from tidegate.monitoring.counting.drift_test import smoothed_ratios
from tidegate.monitoring.report.findings import Findings
from tidegate.monitoring.tasks.periods import Period

COLUMNS: Final = 3
# The colour scale of the heat map ends at this multiple of the critical PSI.
MAX_COLOUR: Final = 4.0
MAX_CHARACTERS: Final = 110
"""Characters that fit below the axis of a plot."""


def name_periods(axes: Axes, periods: Sequence[Period]) -> None:
    """Name the periods below the axis; only some of them if their names would overlap."""
    characters = sum(len(each.name) + 1 for each in periods)
    every = max(1, math.ceil(characters / MAX_CHARACTERS))
    shown = range(0, len(periods), every)
    axes.set_xticks(shown, [periods[number].name for number in shown])


def drift(found: Findings, theme: Theme) -> Figure:
    """The PSI of each distribution in each period, as a heat map."""
    features = found.distributions
    limit = found.drift.psi_critical * MAX_COLOUR
    indices = [[math.nan if i is None else i for i in each.psi_by_period()] for each in features]
    table = np.array(indices)
    with rc_context(STYLE):
        drawn = figure(0.5 + 0.24 * len(features), theme)
        axes = drawn.subplots()
        bare(axes, theme)
        colours = LinearSegmentedColormap.from_list("drift", [theme.paper, theme.queue, theme.bad])
        # On a square-root scale, so that 0.1 is visible beside 10.
        axes.imshow(np.sqrt(table), cmap=colours, vmin=0, vmax=math.sqrt(limit), aspect="auto")
        for (row, column), value in np.ndenumerate(table):
            if math.isfinite(value):
                over = value > found.drift.psi_warning
                ink = theme.paper if value > limit / 3 else theme.ink
                text = f"{value:.2f}" if value < 10 else f"{value:.0f}"
                weight = "bold" if over else "normal"
                axes.text(column, row, text, ha="center", va="center", color=ink, weight=weight)
        axes.set_yticks(range(len(features)), [each.name for each in features])
        name_periods(axes, found.periods)
        axes.grid(visible=False)
        return drawn


def features(found: Findings, theme: Theme) -> Figure:
    """Each distribution at training and now, by descending PSI."""
    shown = sorted(found.distributions, key=lambda each: -(each.psi or 0.0))
    lines = max(1, math.ceil(len(shown) / COLUMNS))
    with rc_context(STYLE):
        drawn = figure(1.45 * lines, theme)
        grid = drawn.subplots(lines, COLUMNS, squeeze=False).ravel().tolist()
        for axes, each in zip(grid, shown, strict=False):
            _distribution(axes, each, found, theme)
        for axes in grid[len(shown) :]:
            axes.set_visible(False)
        return drawn


def _distribution(axes: Axes, each: Distribution, found: Findings, theme: Theme) -> None:
    bare(axes, theme)
    at = np.arange(len(each.bins))
    axes.bar(at - 0.2, smoothed_ratios(each.reference), 0.4, color=theme.planned)
    drifted = each.drifted(found.drift.psi_warning, found.drift.samples)
    if each.total.sum():
        shares = each.total / each.total.sum()
        axes.bar(at + 0.2, shares, 0.4, color=theme.bad if drifted else theme.p95)
    index = "no rows" if each.psi is None else f"PSI {each.psi:.2f}"
    axes.set_title(
        f"{each.name}   {index}",
        loc="left",
        fontsize=9,
        fontweight="bold" if drifted else "normal",
        color=theme.bad if drifted else theme.ink,
    )
    every = max(1, math.ceil(len(at) / 8))
    # The last bins, over (or other) and missing, always have a tick.
    ticks = sorted({*at[:-2:every].tolist(), len(at) - 1})
    axes.set_xticks(ticks, [each.bins[i] for i in ticks], fontsize=6.5)
    axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
    axes.tick_params(axis="y", labelsize=7)
