"""The plots of a report on a classifier."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tidegate.drift.report.distributions import Distribution
from tidegate.drift.report.drift_plots import drift, features
from tidegate.drift.report.findings import Findings
from tidegate.drift.report.plot_style import bare, figure, legend, name_periods, title
from tidegate.loadgen.report.plot_style import STYLE
from tidegate.loadgen.report.plots import WIDTH_INCHES, percent_label
from tidegate.loadgen.report.theme import Theme
from tidegate.monitoring.counting.reference import smoothed_ratios

Plot: TypeAlias = Callable[[Findings, Theme], Figure]

MAX_LABELS: Final = 8
"""More labels than this are not distinguishable: the most frequent ones are shown."""


def accuracy(found: Findings, theme: Theme) -> Figure:
    """Realised and expected accuracy by period, and the predicted labels."""
    predictions = found.counters.predictions
    with rc_context(STYLE):
        drawn = figure(2.6 + (1.7 if predictions else 0.0), theme)
        heights = [2.6, 1.7] if predictions else [2.6]
        column = drawn.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[
            :, 0
        ]
        _accuracy(column[0], found, theme)
        if predictions:
            _predictions(column[1], predictions, theme)
        name_periods(column[-1], found.periods)
        return drawn


def calibration(found: Findings, theme: Theme) -> Figure:
    """The fraction of correct predictions, by confidence."""
    with rc_context(STYLE):
        drawn = figure(3.4, theme, width=WIDTH_INCHES * 0.6)
        axes = drawn.subplots()
        bare(axes, theme)
        bins = found.calibration
        low = min([0.5, *(each.confidence for each in bins), *(each.correct for each in bins)])
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
        axes.errorbar(
            [each.confidence for each in bins],
            [each.correct for each in bins],
            yerr=[each.margin for each in bins],
            color=theme.p95,
            marker="o",
            markersize=4,
            linewidth=1.8,
            elinewidth=1,
            label="now (± 2 standard errors)",
        )
        axes.set_xlim(low - 0.02, 1.02)
        axes.xaxis.set_major_formatter(FuncFormatter(percent_label))
        axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
        axes.set_xlabel("probability of the predicted label", color=theme.faint)
        title(axes, "Fraction of correct predictions", theme)
        legend(axes, theme)
        return drawn


def _accuracy(axes: Axes, found: Findings, theme: Theme) -> None:
    bare(axes, theme)
    at = np.arange(len(found.periods))
    realised = [math.nan if q.accuracy is None else q.accuracy for q in found.quality]
    expected = [math.nan if q.expected is None else q.expected for q in found.quality]
    margin = [
        math.nan if q.accuracy is None else 2 * (q.accuracy * (1 - q.accuracy) / q.labels) ** 0.5
        for q in found.quality
    ]
    axes.plot(
        at, expected, color=theme.sent, linewidth=1.3, linestyle=(0, (4, 2)), label="expected"
    )
    axes.errorbar(
        at, realised, yerr=margin, color=theme.p95, marker="o", markersize=4, linewidth=2,
        elinewidth=1, label="realised (± 2 standard errors)",
    )  # fmt: skip
    if found.model.accuracy is not None:
        axes.axhline(found.model.accuracy, color=theme.replicas, linewidth=1, label="held-out rows")
    axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
    title(axes, "Accuracy, by the time of the response", theme)
    legend(axes, theme)


def _predictions(axes: Axes, predictions: Distribution, theme: Theme) -> None:
    bare(axes, theme)
    rows = predictions.counts.sum(axis=1, keepdims=True)
    shares = np.divide(
        predictions.counts, rows, out=np.full(predictions.counts.shape, np.nan), where=rows > 0
    )
    colours = (theme.p95, theme.queue, theme.replicas, theme.bad)
    base = smoothed_ratios(predictions.reference)
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


PLOTS: Final[dict[str, Plot]] = {
    "accuracy": accuracy,
    "drift": drift,
    "features": features,
    "calibration": calibration,
}


def plot_names(found: Findings) -> Sequence[str]:
    """The plots for which there is data."""
    counted = ("drift", "features") if found.counters.features else ()
    labelled = ("calibration",) if found.calibration else ()
    return ("accuracy", *counted, *labelled)
