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

from tidegate.loadgen.report.plots import WIDTH_INCHES, percent_label
from tidegate.loadgen.report.theme import STYLE, Theme
from tidegate.monitoring.counting.drift_test import smoothed_ratios
from tidegate.monitoring.report.distributions import Distribution
from tidegate.monitoring.report.drift_plots import drift, features
from tidegate.monitoring.report.findings import Findings
from tidegate.monitoring.report.plot_style import bare, figure, legend, name_periods, title
from tidegate.monitoring.report.task import residuals
from tidegate.monitoring.report.wording import MAX_POINTS, unit

Plot: TypeAlias = Callable[[Findings, Theme], Figure]

MAX_LABELS: Final = 8
"""More labels than this are not distinguishable: the most frequent ones are shown."""
SHOWN_RESIDUALS: Final = 0.99
"""Fraction of residuals inside the axis: a few extreme ones would flatten all others."""


def quality(found: Findings, theme: Theme) -> Figure:
    """The realised and the expected measure by period; below it predicted labels, or coverage."""
    predictions = found.counters.predictions
    covered = any(each.further.get("coverage") is not None for each in found.quality)
    lower = covered if found.model.task.numbers else predictions is not None
    with rc_context(STYLE):
        heights = [2.6, 1.7] if lower else [2.6]
        drawn = figure(sum(heights), theme)
        column = drawn.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
        _realised(column[0, 0], found, theme)
        if found.model.task.numbers and covered:
            _coverage(column[1, 0], found, theme)
        elif not found.model.task.numbers and predictions is not None:
            _predictions(column[1, 0], predictions, theme)
        name_periods(column[-1, 0], found.periods)
        return drawn


def calibration(found: Findings, theme: Theme) -> Figure:
    """The fraction of correct predictions, by confidence."""
    with rc_context(STYLE):
        drawn = figure(3.4, theme, width=WIDTH_INCHES * 0.6)
        axes = drawn.subplots()
        bare(axes, theme)
        bins = found.bins
        low = min([0.5, *(each.score for each in bins), *(each.mean for each in bins)])
        axes.plot([low, 1], [low, 1], color=theme.faint, linewidth=1, linestyle=(0, (4, 3)))
        curve = found.model.reference.calibration
        if curve is not None:
            axes.plot(
                curve.confidence,
                curve.correct,
                color=theme.sent,
                linewidth=1.2,
                label="at training",
            )
        _means(axes, found, theme, "now")
        axes.set_xlim(low - 0.02, 1.02)
        axes.xaxis.set_major_formatter(FuncFormatter(percent_label))
        axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
        axes.set_xlabel("probability of the predicted label", color=theme.faint)
        title(axes, "Fraction of correct predictions", theme)
        legend(axes, theme)
        return drawn


def residuals_by_value(found: Findings, theme: Theme) -> Figure:
    """Residuals by predicted value."""
    errors, held_out = residuals(found.rows), found.model.reference.residuals
    with rc_context(STYLE):
        drawn = figure(3.4, theme)
        axes = drawn.subplots()
        bare(axes, theme)
        every = max(1, math.ceil(len(errors) / MAX_POINTS))
        axes.scatter(
            found.rows.predicted[::every],
            errors[::every],
            s=7,
            color=theme.planned,
            linewidths=0,
            rasterized=True,
        )
        if held_out is not None:
            half = held_out.half_width
            label = f"interval ({held_out.coverage:.0%} of held-out rows)"
            axes.axhline(half, color=theme.replicas, linewidth=1, label=label)
            axes.axhline(-half, color=theme.replicas, linewidth=1)
        axes.fill_between(
            [each.score for each in found.bins],
            [each.low for each in found.bins],
            [each.high for each in found.bins],
            color=theme.p95,
            alpha=0.15,
            linewidth=0,
            label="5th to 95th percentile",
        )
        _means(axes, found, theme, "mean")
        axes.axhline(0, color=theme.faint, linewidth=1, linestyle=(0, (4, 3)))
        limit = float(np.quantile(np.abs(errors), SHOWN_RESIDUALS)) * 1.1
        if limit:
            axes.set_ylim(-limit, limit)
        of = unit(found, " ({})")
        axes.set_xlabel(f"predicted value{of}", color=theme.faint)
        title(axes, f"Actual minus predicted value{of}", theme)
        legend(axes, theme)
        return drawn


def detail(found: Findings, theme: Theme) -> Figure:
    """The rows by score."""
    plot = residuals_by_value if found.model.task.numbers else calibration
    return plot(found, theme)


PLOTS: Final[dict[str, Plot]] = {
    "quality": quality,
    "drift": drift,
    "features": features,
    "detail": detail,
}


def plot_names(found: Findings) -> Sequence[str]:
    """The plots for which there is data."""
    counted = ("drift", "features") if found.distributions else ()
    labelled = ("detail",) if found.bins else ()
    return ("quality", *counted, *labelled)


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
    held_out = found.model.task.held_out(found.model)
    if held_out is not None:
        axes.axhline(held_out, color=theme.replicas, linewidth=1, label="held-out rows")
    if found.model.task.numbers:
        axes.set_ylim(bottom=0)
        name = f"Mean absolute error{unit(found, ' ({})')}"
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
        name = "Accuracy"
    title(axes, f"{name}, by the time of the response", theme)
    legend(axes, theme)


def _means(axes: Axes, found: Findings, theme: Theme, name: str) -> None:
    axes.errorbar(
        [each.score for each in found.bins],
        [each.mean for each in found.bins],
        yerr=[each.margin for each in found.bins],
        color=theme.p95,
        marker="o",
        markersize=4,
        linewidth=1.8,
        elinewidth=1,
        label=f"{name} (± 2 standard errors)",
    )


def _predictions(axes: Axes, predictions: Distribution, theme: Theme) -> None:
    bare(axes, theme)
    rows = predictions.counts.sum(axis=1, keepdims=True)
    shares = np.divide(
        predictions.counts, rows, out=np.full(predictions.counts.shape, np.nan), where=rows > 0
    )
    colours = (theme.p95, theme.queue, theme.replicas, theme.bad)
    base = np.array(smoothed_ratios(predictions.reference))
    frequencies = predictions.reference + predictions.total
    occurring = np.flatnonzero(frequencies)
    # Of two labels, one determines the other.
    candidates = occurring[:1] if len(occurring) == 2 else occurring
    shown = sorted(candidates.tolist(), key=lambda number: -frequencies[number])[:MAX_LABELS]
    for number in shown:
        colour = colours[number % len(colours)]
        name = predictions.bins[number]
        axes.plot(shares[:, number], color=colour, marker="o", markersize=4, label=name)
        axes.axhline(base[number], color=colour, linewidth=1, linestyle=(0, (1, 2)))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
    names = predictions.bins[shown[0]] if len(shown) == 1 else "each label"
    title(axes, f"Fraction of rows predicted as {names} (dotted: on held-out rows)", theme)
    if len(shown) > 1:
        legend(axes, theme)


def _coverage(axes: Axes, found: Findings, theme: Theme) -> None:
    bare(axes, theme)
    coverage = _values(each.further["coverage"] for each in found.quality)
    axes.plot(coverage, color=theme.p95, marker="o", markersize=4)
    if (held_out := found.model.reference.residuals) is not None:
        axes.axhline(held_out.held_out_coverage, color=theme.replicas, linewidth=1)
    low = float(np.nanmin(coverage))
    axes.set_ylim(max(0.0, min(0.8, low - 0.05)), 1.005)
    axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
    title(axes, "Fraction of actual values inside the predicted interval", theme)


def _values(values: Iterable[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]
