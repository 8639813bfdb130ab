"""A plot of a report as data, so that a task needs nothing that draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Line:
    """A line, or with a single `y` a horizontal one.

    Attributes:
        y: the values.
        x: where they are; None for one in each period.
        name: in the legend; empty for a line without an entry.
        colour: one of the theme's.
        style: as matplotlib names it.
        marked: whether each value has a marker.
    """

    y: Sequence[float] | float
    x: Sequence[float] | None = None
    name: str = ""
    colour: str = "p95"
    style: str = "solid"
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A plot.

    Attributes:
        title: its title.
        lines: its lines.
        x_label: what its horizontal axis shows; empty for periods.
        fractions: whether the numbers of its axes are fractions, shown as percentages.
        limits: the ends of its vertical axis; None for those of the values.
        points: x and y of single rows.
        means: the name of the means of the rows by score, which are drawn; empty to draw none.
        band: whether the 5th to 95th percentile of the rows by score is drawn.
        note: how it is to be read; empty if it needs no words.
    """

    title: str
    lines: Sequence[Line]
    x_label: str = ""
    fractions: bool = False
    limits: tuple[float | None, float | None] = (None, None)
    points: tuple[npt.ArrayLike, npt.ArrayLike] | None = None
    means: str = ""
    band: bool = False
    note: str = ""
