"""The style of a report's plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tidegate.loadgen.report.plots import WIDTH_INCHES
from tidegate.loadgen.report.theme import Theme
from tidegate.monitoring.tasks.periods import Period

MAX_CHARACTERS: Final = 110
"""Characters that fit below the axis of a plot."""


def figure(height: float, theme: Theme, width: float = WIDTH_INCHES) -> Figure:
    """A new figure; height and width in inches."""
    figure = Figure(figsize=(width, height), facecolor=theme.paper, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def bare(axes: Axes, theme: Theme) -> None:
    """Remove all lines but the grid's and the lower axis."""
    axes.set_facecolor(theme.paper)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    axes.tick_params(colors=theme.faint, length=0)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(theme.grid)


def name_periods(axes: Axes, periods: Sequence[Period]) -> None:
    """Name the periods below the axis; only some of them if their names would overlap."""
    characters = sum(len(each.name) + 1 for each in periods)
    every = max(1, math.ceil(characters / MAX_CHARACTERS))
    shown = range(0, len(periods), every)
    axes.set_xticks(shown, [periods[number].name for number in shown])


def title(axes: Axes, text: str, theme: Theme) -> None:
    """Set the title."""
    axes.set_title(text, loc="left", fontsize=9.5, fontweight="bold", color=theme.ink)


def legend(axes: Axes, theme: Theme) -> None:
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
