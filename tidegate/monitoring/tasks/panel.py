"""A plot of a report as data, so that a task needs nothing that draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Line:
    """A line, or with a single `y` a horizontal one."""

    y: Sequence[float] | float
    x: Sequence[float] | None = None
    """None for a value in each period."""
    name: str = ""
    """In the legend; empty for a line without an entry."""
    colour: str = "p95"
    """One of the theme's."""
    style: str = "solid"
    """As matplotlib names it."""
    marked: bool = False
    """Whether each value has a marker."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A plot."""

    title: str
    lines: Sequence[Line]
    x_label: str = ""
    """What its horizontal axis shows; empty for periods."""
    fractions: bool = False
    """Whether the numbers of its axes are fractions, shown as percentages."""
    limits: tuple[float | None, float | None] = (None, None)
    """The ends of its vertical axis; None for those of the values."""
    points: tuple[npt.ArrayLike, npt.ArrayLike] | None = None
    """x and y of single rows."""
    means: str = ""
    """The name of the means of the rows by score, which are drawn; empty to draw none."""
    band: bool = False
    """Whether the 5th to 95th percentile of the rows by score is drawn."""
    note: str = ""
    """How it is to be read; empty if it needs no words."""
