"""The plots of a report on a regressor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tidegate.drift.report.drift_plots import drift, features
from tidegate.drift.report.plot_style import bare, figure, legend, name_periods, title
from tidegate.drift.report.regressor_findings import RegressorFindings
from tidegate.loadgen.report.plot_style import STYLE
from tidegate.loadgen.report.plots import percent_label
from tidegate.loadgen.report.theme import Theme

Plot: TypeAlias = Callable[[RegressorFindings, Theme], Figure]

MAX_POINTS: Final = 1500
"""More points would hide each other, and make the page large."""
SHOWN_RESIDUALS: Final = 0.99
"""Fraction of residuals inside the axis: a few extreme ones would flatten all others."""


def error(found: RegressorFindings, theme: Theme) -> Figure:
    """Realised and expected mean absolute error, and the coverage, by period."""
    covered = any(each.coverage is not None for each in found.quality)
    with rc_context(STYLE):
        drawn = figure(2.6 + (1.7 if covered else 0.0), theme)
        heights = [2.6, 1.7] if covered else [2.6]
        column = drawn.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
        _error(column[0, 0], found, theme)
        if covered:
            _coverage(column[1, 0], found, theme)
        name_periods(column[-1, 0], found.periods)
        return drawn


def residuals(found: RegressorFindings, theme: Theme) -> Figure:
    """Residuals by predicted value."""
    with rc_context(STYLE):
        drawn = figure(3.4, theme)
        axes = drawn.subplots()
        bare(axes, theme)
        every = max(1, math.ceil(len(found.predicted) / MAX_POINTS))
        axes.scatter(
            found.predicted[::every],
            found.residuals[::every],
            s=7,
            color=theme.planned,
            linewidths=0,
            rasterized=True,
        )
        if found.held_out is not None:
            half = found.held_out.half_width
            label = f"interval ({found.held_out.coverage:.0%} of held-out rows)"
            axes.axhline(half, color=theme.replicas, linewidth=1, label=label)
            axes.axhline(-half, color=theme.replicas, linewidth=1)
        at = [each.predicted for each in found.bins]
        axes.fill_between(
            at,
            [each.low for each in found.bins],
            [each.high for each in found.bins],
            color=theme.p95,
            alpha=0.15,
            linewidth=0,
            label="5th to 95th percentile",
        )
        axes.errorbar(
            at,
            [each.mean for each in found.bins],
            yerr=[each.margin for each in found.bins],
            color=theme.p95,
            marker="o",
            markersize=4,
            linewidth=1.8,
            elinewidth=1,
            label="mean (± 2 standard errors)",
        )
        axes.axhline(0, color=theme.faint, linewidth=1, linestyle=(0, (4, 3)))
        limit = float(np.quantile(np.abs(found.residuals), SHOWN_RESIDUALS)) * 1.1
        if limit:
            axes.set_ylim(-limit, limit)
        axes.set_xlabel(f"predicted value{_unit(found)}", color=theme.faint)
        title(axes, f"Actual minus predicted value{_unit(found)}", theme)
        legend(axes, theme)
        return drawn


PLOTS: Final[dict[str, Plot]] = {
    "error": error,
    "residuals": residuals,
    "drift": drift,
    "features": features,
}


def plot_names(found: RegressorFindings) -> Sequence[str]:
    """The plots for which there is data."""
    counted = ("drift", "features") if found.distributions else ()
    labelled = ("residuals",) if found.overall.labels else ()
    return ("error", *counted, *labelled)


def _error(axes: Axes, found: RegressorFindings, theme: Theme) -> None:
    bare(axes, theme)
    at = np.arange(len(found.periods))
    axes.plot(
        at, _values(each.expected for each in found.quality),
        color=theme.sent, linewidth=1.3, linestyle=(0, (4, 2)), label="expected",
    )  # fmt: skip
    axes.errorbar(
        at, _values(each.error for each in found.quality),
        yerr=[each.margin for each in found.quality], color=theme.p95, marker="o", markersize=4,
        linewidth=2, elinewidth=1, label="realised (± 2 standard errors)",
    )  # fmt: skip
    if found.held_out is not None:
        held_out = found.held_out.mean_absolute_error
        axes.axhline(held_out, color=theme.replicas, linewidth=1, label="held-out rows")
    axes.set_ylim(bottom=0)
    title(axes, f"Mean absolute error{_unit(found)}, by the time of the response", theme)
    legend(axes, theme)


def _coverage(axes: Axes, found: RegressorFindings, theme: Theme) -> None:
    bare(axes, theme)
    coverage = _values(each.coverage for each in found.quality)
    axes.plot(coverage, color=theme.p95, marker="o", markersize=4)
    if found.held_out is not None:
        held_out = found.held_out.held_out_coverage
        axes.axhline(held_out, color=theme.replicas, linewidth=1)
    low = float(np.nanmin(coverage))
    axes.set_ylim(max(0.0, min(0.8, low - 0.05)), 1.005)
    axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
    title(axes, "Fraction of actual values inside the predicted interval", theme)


def _values(values: Iterable[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _unit(found: RegressorFindings) -> str:
    return f" ({found.model.unit})" if found.model.unit else ""
