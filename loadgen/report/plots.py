"""The plots of a run: panels with a common time axis."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle
from typing import Final, TypeAlias

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tidegate.loadgen.report.replica_signals import Sample
from tidegate.loadgen.report.series import RunSeries, rises
from tidegate.loadgen.report.theme import STYLE, Theme
from tidegate.loadgen.send.record import Floats

Panel: TypeAlias = Callable[[Axes, RunSeries, Theme], None]
"""Draws a panel into axes that are already set up."""

WIDTH_INCHES: Final = 10.0
PANEL_INCHES: Final = 2.15
MAX_DOTS: Final = 4000


def load(axes: Axes, run: RunSeries, theme: Theme) -> None:
    """Draw the requests planned, sent and answered per second."""
    axes.stairs(run.planned, run.edges, fill=True, color=theme.planned, label="planned")
    axes.stairs(run.sent, run.edges, color=theme.sent, linewidth=1.1, label="sent")
    # An incomplete last bin would look like a decrease.
    full = run.edges[1:] <= run.end
    axes.plot(
        run.times[full],
        run.answered[full],
        color=theme.answered,
        linewidth=1.8,
        label="answered",
    )
    title(axes, "Requests per second", theme)


def latency(axes: Axes, run: RunSeries, theme: Theme) -> None:
    """Draw the response time of each request, p50, p95, p99 and the objective."""
    _dots(axes, run.good, theme.faint)
    _dots(axes, run.bad, theme.bad, "failed")
    for name, colour, width in (
        ("p99", theme.p99, 1.1),
        ("p95", theme.p95, 2.2),
        ("p50", theme.p50, 1.4),
    ):
        values = finite(run.quantiles[name])
        axes.plot(run.times, values, color=colour, linewidth=width, label=name)
    if run.slo is not None:
        p95 = np.nan_to_num(finite(run.quantiles["p95"]), nan=0.0)
        axes.fill_between(
            run.times,
            run.slo,
            p95,
            where=(p95 > run.slo).tolist(),
            interpolate=True,
            color=theme.bad,
            alpha=0.18,
            linewidth=0,
            label="p95 over the objective" if run.breaches else None,
        )
    _objective(axes, run, theme)
    title(axes, f"{_measured(run)} (from the planned time)", theme)
    axes.yaxis.set_major_formatter(FuncFormatter(seconds_label))


def latency_by_kind(axes: Axes, run: RunSeries, theme: Theme) -> None:
    """Draw the p95 of each kind of request."""
    for (kind, values), colour in zip(run.p95_of.items(), cycle(theme.kinds), strict=False):
        axes.plot(run.times, finite(values), color=colour, linewidth=1.8, label=kind)
    _objective(axes, run, theme)
    title(axes, f"{_measured(run)} p95 by kind", theme)
    axes.yaxis.set_major_formatter(FuncFormatter(seconds_label))


def _measured(run: RunSeries) -> str:
    return "Time to the first byte" if run.until == "first-byte" else "Response time"


def errors(axes: Axes, run: RunSeries, theme: Theme) -> None:
    """Draw the fraction of failed requests."""
    ratio = np.nan_to_num(run.failed_ratio, nan=0.0)
    axes.stairs(ratio, run.edges, fill=True, color=theme.bad, alpha=0.3)
    axes.stairs(ratio, run.edges, color=theme.bad, linewidth=1.6)
    top = float(ratio.max(initial=0.0))
    axes.set_ylim(0, min(1.05, max(0.05, top * 1.2)))
    axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
    title(axes, "Failed requests" if top else "Failed requests: none", theme)


def replicas(axes: Axes, run: RunSeries, theme: Theme) -> None:
    """Draw the ready and the desired replicas, and the gateway's queue."""
    signals = run.signals
    if not signals.ready:
        axes.text(
            *(0.5, 0.5, "no replicas in Prometheus"),
            ha="center",
            va="center",
            transform=axes.transAxes,
            color=theme.faint,
        )
        title(axes, "Replicas", theme)
        axes.set_yticks([])
        return
    times, ready = _columns(signals.ready, run.end)
    axes.fill_between(times, ready, step="post", color=theme.replicas, alpha=0.16, linewidth=0)
    axes.step(times, ready, where="post", color=theme.replicas, linewidth=2.2, label="ready")
    if signals.desired:
        axes.step(
            *_columns(signals.desired, run.end),
            where="post",
            color=theme.replicas,
            linewidth=1.1,
            linestyle=(0, (4, 2)),
            label="desired",
        )
    highest = max(value for _, value in [*signals.ready, *signals.desired])
    axes.set_ylim(0, highest * 1.3 + 0.2)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    for at, value in rises(signals.ready):
        axes.annotate(
            f"{value:.0f}",
            (at, value),
            xytext=(3, 3),
            textcoords="offset points",
            color=theme.replicas,
            fontweight="bold",
        )
    title(axes, "Replicas", theme)
    if signals.queue:
        _queue(axes, run, theme)


def _queue(axes: Axes, run: RunSeries, theme: Theme) -> None:
    other = axes.twinx()
    other.plot(*_columns(run.signals.queue, run.end), color=theme.queue, linewidth=1.4)
    axes.plot([], [], color=theme.queue, linewidth=1.4, label="queued requests (right axis)")
    other.set_ylim(0, max(5.0, max(value for _, value in run.signals.queue) * 1.2))
    other.tick_params(colors=theme.queue, length=0)
    other.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    for spine in other.spines.values():
        spine.set_visible(False)


PANELS: Final[Mapping[str, Panel]] = {
    "requests": load,
    "latency": latency,
    "latency-by-kind": latency_by_kind,
    "errors": errors,
    "replicas": replicas,
}
OVERVIEW: Final = ("requests", "latency", "replicas")
"""The panels of the overview."""


def draw(names: Sequence[str], run: RunSeries, theme: Theme, headline: str = "") -> Figure:
    """Draw panels below each other, with a common time axis."""
    with rc_context(STYLE):
        head = 0.55 if headline else 0.1
        height = sum(map(_height, names)) + head + 0.35
        drawn = figure(height, theme)
        if headline:
            drawn.suptitle(
                headline, x=0.012, ha="left", fontsize=12, fontweight="bold", color=theme.ink
            )
        column = drawn.subplots(
            len(names),
            1,
            sharex=True,
            squeeze=False,
            height_ratios=[_height(name) for name in names],
        )[:, 0]
        for axes, name in zip(column, names, strict=True):
            _frame(axes, run, theme)
            PANELS[name](axes, run, theme)
            axes.set_ylim(bottom=0, auto=None)
            _legend(axes, theme)
        column[-1].set_xlabel("seconds since the start", color=theme.faint)
        return drawn


def _height(name: str) -> float:
    return PANEL_INCHES * (0.55 if name == "errors" else 1.0)


def as_bytes(drawn: Figure, form: str, dpi: int = 150) -> bytes:
    """Return the figure as `png` or `svg`; the bytes are reproducible."""
    with rc_context(STYLE), io.BytesIO() as file:
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        drawn.savefig(
            file, format=form, dpi=dpi, facecolor=drawn.get_facecolor(), metadata=metadata
        )
        return file.getvalue()


def finite(values: Floats) -> Floats:
    """Return the values with NaN for the infinite percentiles of failed requests."""
    return np.where(np.isfinite(values), values, np.nan)


def seconds_label(value: float, _: object = None) -> str:
    """Format the time of an axis tick; in milliseconds below a second."""
    if value == 0:
        return "0"
    return f"{value * 1e3:.0f} ms" if abs(value) < 1 else f"{value:g} s"


def percent_label(value: float, _: object = None) -> str:
    """Format the fraction of an axis tick as a percentage: 0 %, 0.5 %, 20 %."""
    return f"{round(value * 100, 6):g} %"


def figure(height: float, theme: Theme, width: float = WIDTH_INCHES) -> Figure:
    """Return a new figure; height and width in inches."""
    made = Figure(figsize=(width, height), facecolor=theme.paper, layout="constrained")
    FigureCanvasAgg(made)
    return made


def bare(axes: Axes, theme: Theme) -> None:
    """Remove all lines but the grid's and the lower axis."""
    axes.set_facecolor(theme.paper)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    axes.tick_params(colors=theme.faint, length=0)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(theme.faint)


def title(axes: Axes, text: str, theme: Theme) -> None:
    """Set the title."""
    axes.set_title(text, loc="left", fontsize=9.5, fontweight="bold", color=theme.ink)


def _frame(axes: Axes, run: RunSeries, theme: Theme) -> None:
    bare(axes, theme)
    axes.set_xlim(0, run.end)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    for begin, finish in run.breaches:
        axes.axvspan(begin, finish, color=theme.bad, alpha=0.06, linewidth=0)


def _legend(axes: Axes, theme: Theme) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > 1:
        axes.legend(
            handles,
            labels,
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=len(handles),
            frameon=False,
            labelcolor=theme.ink,
            handlelength=1.4,
            markerscale=2.5,
            columnspacing=1.3,
            borderaxespad=0.1,
        )


def _dots(
    axes: Axes, requests: tuple[Floats, Floats], colour: str, label: str | None = None
) -> None:
    planned, response = requests
    if not planned.size:
        return
    every = max(1, len(planned) // MAX_DOTS)
    axes.plot(
        planned[::every],
        response[::every],
        linestyle="none",
        marker=".",
        markersize=3.2,
        color=colour,
        alpha=0.5,
        markeredgewidth=0,
        rasterized=True,
        label=label,
    )


def _objective(axes: Axes, run: RunSeries, theme: Theme) -> None:
    if run.slo is not None:
        axes.axhline(run.slo, color=theme.bad, linewidth=1.2, linestyle=(0, (5, 3)))
        axes.annotate(
            f"objective {seconds_label(run.slo)}",
            (1, run.slo),
            xycoords=("axes fraction", "data"),
            xytext=(-3, 3),
            textcoords="offset points",
            ha="right",
            color=theme.bad,
            fontsize=8,
        )


def _columns(samples: Iterable[Sample], end: float) -> tuple[Floats, Floats]:
    rows = [(at, value) for at, value in samples if at <= end]
    if rows and rows[-1][0] < end:
        rows.append((end, rows[-1][1]))
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
