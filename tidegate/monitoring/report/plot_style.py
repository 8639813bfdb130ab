"""The style of a report's plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes

from tidegate.loadgen.report.theme import Theme
from tidegate.monitoring.tasks.periods import Period

MAX_CHARACTERS: Final = 110
"""Characters that fit below the axis of a plot."""


def name_periods(axes: Axes, periods: Sequence[Period]) -> None:
    """Name the periods below the axis; only some of them if their names would overlap."""
    characters = sum(len(each.name) + 1 for each in periods)
    every = max(1, math.ceil(characters / MAX_CHARACTERS))
    shown = range(0, len(periods), every)
    axes.set_xticks(shown, [periods[number].name for number in shown])


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
