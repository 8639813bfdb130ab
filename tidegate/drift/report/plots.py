"""The plots of a report on a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tidegate.drift.report.distributions import Distribution
from tidegate.drift.report.findings import Findings
from tidegate.loadgen.report.plots import FONT, WIDTH_INCHES, percent_label
from tidegate.loadgen.report.theme import Theme
from tidegate.monitoring.counting.reference import smoothed_ratios

Plot: TypeAlias = Callable[[Findings, Theme], Figure]

COLUMNS: Final = 3
# The colour scale of the heat map ends at this multiple of the critical PSI.
MAX_COLOUR: Final = 4.0


def accuracy(found: Findings, theme: Theme) -> Figure:
    """Realised and expected accuracy by period, and the predicted labels."""
    predictions = found.counters.predictions
    with rc_context(FONT):
        figure = _figure(2.6 + (1.7 if predictions else 0.0), theme)
        heights = [2.6, 1.7] if predictions else [2.6]
        column = figure.subplots(
            len(heights), 1, sharex=True, squeeze=False, height_ratios=heights
        )[:, 0]
        _accuracy(column[0], found, theme)
        if predictions:
            _predictions(column[1], predictions, theme)
        column[-1].set_xticks(range(len(found.periods)), [each.name for each in found.periods])
        return figure


def drift(found: Findings, theme: Theme) -> Figure:
    """The PSI of each feature in each period, as a heat map."""
    features = found.counters.features
    limit = found.drift.psi_critical * MAX_COLOUR
    indices = [[math.nan if i is None else i for i in each.psi_by_period()] for each in features]
    table = np.array(indices)
    with rc_context(FONT):
        figure = _figure(0.5 + 0.24 * len(features), theme)
        axes = figure.subplots()
        _bare(axes, theme)
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
        axes.set_xticks(range(len(found.periods)), [each.name for each in found.periods])
        axes.grid(visible=False)
        return figure


def features(found: Findings, theme: Theme) -> Figure:
    """Each feature's distribution at training and now, by descending PSI."""
    shown = sorted(found.counters.features, key=lambda each: -(each.psi or 0.0))
    lines = max(1, math.ceil(len(shown) / COLUMNS))
    with rc_context(FONT):
        figure = _figure(1.45 * lines, theme)
        grid = figure.subplots(lines, COLUMNS, squeeze=False).ravel().tolist()
        for axes, each in zip(grid, shown, strict=False):
            _distribution(axes, each, found, theme)
        for axes in grid[len(shown) :]:
            axes.set_visible(False)
        return figure


def calibration(found: Findings, theme: Theme) -> Figure:
    """The fraction of correct predictions, by confidence."""
    with rc_context(FONT):
        figure = _figure(3.4, theme, width=WIDTH_INCHES * 0.6)
        axes = figure.subplots()
        _bare(axes, theme)
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
        _title(axes, "Fraction of correct predictions", theme)
        _legend(axes, theme)
        return figure


PLOTS: Final[dict[str, Plot]] = {
    "accuracy": accuracy,
    "drift": drift,
    "features": features,
    "calibration": calibration,
}


def _accuracy(axes: Axes, found: Findings, theme: Theme) -> None:
    _bare(axes, theme)
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
    _title(axes, "Accuracy, by the time of the response", theme)
    _legend(axes, theme)


def _predictions(axes: Axes, predictions: Distribution, theme: Theme) -> None:
    _bare(axes, theme)
    rows = predictions.counts.sum(axis=1, keepdims=True)
    shares = np.divide(
        predictions.counts, rows, out=np.full(predictions.counts.shape, np.nan), where=rows > 0
    )
    colours = (theme.p95, theme.queue, theme.replicas, theme.bad)
    base = smoothed_ratios(predictions.reference)
    # Of two labels, one determines the other.
    shown = range(1 if len(predictions.bins) == 2 else len(predictions.bins))
    for number in shown:
        colour = colours[number % len(colours)]
        name = predictions.bins[number]
        axes.plot(shares[:, number], color=colour, marker="o", markersize=4, label=name)
        axes.axhline(base[number], color=colour, linewidth=1, linestyle=(0, (1, 2)))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
    names = predictions.bins[0] if len(shown) == 1 else "each label"
    _title(axes, f"Fraction of rows predicted as {names} (dotted: on held-out rows)", theme)
    if len(shown) > 1:
        _legend(axes, theme)


def _distribution(axes: Axes, each: Distribution, found: Findings, theme: Theme) -> None:
    _bare(axes, theme)
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


def _figure(height: float, theme: Theme, width: float = WIDTH_INCHES) -> Figure:
    figure = Figure(figsize=(width, height), facecolor=theme.paper, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _bare(axes: Axes, theme: Theme) -> None:
    axes.set_facecolor(theme.paper)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    axes.tick_params(colors=theme.faint, length=0)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(theme.grid)


def _title(axes: Axes, text: str, theme: Theme) -> None:
    axes.set_title(text, loc="left", fontsize=9.5, fontweight="bold", color=theme.ink)


def _legend(axes: Axes, theme: Theme) -> None:
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=3,
        frameon=False,
        labelcolor=theme.ink,
        handlelength=1.4,
        borderaxespad=0.1,
    )


def plot_names(found: Findings) -> Sequence[str]:
    """The plots for which there is data."""
    counted = ("drift", "features") if found.counters.features else ()
    labelled = ("calibration",) if found.calibration else ()
    return ("accuracy", *counted, *labelled)
