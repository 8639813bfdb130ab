"""The plots of a run: panels that share the axis of time, drawn by one loop."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tidegate.loadgen.report.replica_signals import Sample
from tidegate.loadgen.report.series import Course, rises
from tidegate.loadgen.report.theme import Theme
from tidegate.loadgen.send.record import Floats

Panel: TypeAlias = Callable[[Axes, Course, Theme], None]
"""Draws one subject into axes that have their frame and their time axis already."""

WIDTH_INCHES: Final = 10.0
PANEL_INCHES: Final = 2.15
MAX_DOTS: Final = 4000
FONT: Final[Any] = {  # matplotlib types its settings by an enumeration of their names
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "loadgen",
}


def load(axes: Axes, course: Course, theme: Theme) -> None:
    """Requests planned, sent and answered a second."""
    axes.stairs(course.planned, course.edges, fill=True, color=theme.planned, label="planned")
    axes.stairs(course.sent, course.edges, color=theme.sent, linewidth=1.1, label="sent")
    # A last bin that the run does not fill would look like a fall.
    full = course.edges[1:] <= course.end
    axes.plot(
        course.times[full],
        course.answered[full],
        color=theme.answered,
        linewidth=1.8,
        label="answered",
    )
    _title(axes, "Requests a second", theme)


def latency(axes: Axes, course: Course, theme: Theme) -> None:
    """Response times: every request a dot, p50, p95 and p99, the objective."""
    _dots(axes, course.good, theme.faint)
    _dots(axes, course.bad, theme.bad, "failed")
    for name, colour, width in (
        ("p99", theme.p99, 1.1),
        ("p95", theme.p95, 2.2),
        ("p50", theme.p50, 1.4),
    ):
        values = finite(course.quantiles[name])
        axes.plot(course.times, values, color=colour, linewidth=width, label=name)
    if course.slo is not None:
        p95 = np.nan_to_num(finite(course.quantiles["p95"]), nan=0.0)
        axes.fill_between(
            course.times,
            course.slo,
            p95,
            where=(p95 > course.slo).tolist(),
            interpolate=True,
            color=theme.bad,
            alpha=0.18,
            linewidth=0,
            label="p95 over the objective" if course.breaches else None,
        )
    _objective(axes, course, theme)
    _title(axes, "Response time, from the planned time", theme)
    axes.yaxis.set_major_formatter(FuncFormatter(seconds_label))


def latency_by_kind(axes: Axes, course: Course, theme: Theme) -> None:
    """p95 of each kind."""
    for kind, values in course.p95_of.items():
        axes.plot(course.times, finite(values), color=theme.kinds[kind], linewidth=1.8, label=kind)
    _objective(axes, course, theme)
    _title(axes, "Response time p95, by kind", theme)
    axes.yaxis.set_major_formatter(FuncFormatter(seconds_label))


def errors(axes: Axes, course: Course, theme: Theme) -> None:
    """The share of requests that failed."""
    ratio = np.nan_to_num(course.failed_ratio, nan=0.0)
    axes.stairs(ratio, course.edges, fill=True, color=theme.bad, alpha=0.3)
    axes.stairs(ratio, course.edges, color=theme.bad, linewidth=1.6)
    top = float(ratio.max(initial=0.0))
    axes.set_ylim(0, min(1.05, max(0.05, top * 1.2)))
    axes.yaxis.set_major_formatter(FuncFormatter(percent_label))
    _title(axes, "Requests that failed" if top else "Requests that failed: none", theme)


def replicas(axes: Axes, course: Course, theme: Theme) -> None:
    """Replicas ready and wanted, and the queue over them."""
    signals = course.signals
    if not signals.ready:
        axes.text(
            *(0.5, 0.5, "Prometheus gave no replicas"),
            ha="center",
            va="center",
            transform=axes.transAxes,
            color=theme.faint,
        )
        _title(axes, "Replicas", theme)
        axes.set_yticks([])
        return
    times, ready = _columns(signals.ready, course.end)
    axes.fill_between(times, ready, step="post", color=theme.replicas, alpha=0.16, linewidth=0)
    axes.step(times, ready, where="post", color=theme.replicas, linewidth=2.2, label="ready")
    if signals.desired:
        axes.step(
            *_columns(signals.desired, course.end),
            where="post",
            color=theme.replicas,
            linewidth=1.1,
            linestyle=(0, (4, 2)),
            label="wanted",
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
    _title(axes, "Replicas", theme)
    if signals.queue:
        _queue(axes, course, theme)


def _queue(axes: Axes, course: Course, theme: Theme) -> None:
    other = axes.twinx()
    other.plot(*_columns(course.signals.queue, course.end), color=theme.queue, linewidth=1.4)
    axes.plot([], [], color=theme.queue, linewidth=1.4, label="requests in the queue (right)")
    other.set_ylim(0, max(5.0, max(value for _, value in course.signals.queue) * 1.2))
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
"""The panels that tell the story together: load, latency over the objective, replicas, latency again."""


def draw(names: Sequence[str], course: Course, theme: Theme, headline: str = "") -> Figure:
    """A figure of panels, one over the other on one axis of time."""
    with rc_context(FONT):
        head = 0.55 if headline else 0.1
        height = sum(map(_height, names)) + head + 0.35
        figure = Figure(figsize=(WIDTH_INCHES, height), facecolor=theme.paper, layout="constrained")
        FigureCanvasAgg(figure)
        if headline:
            figure.suptitle(
                headline, x=0.012, ha="left", fontsize=12, fontweight="bold", color=theme.ink
            )
        column = figure.subplots(
            len(names),
            1,
            sharex=True,
            squeeze=False,
            height_ratios=[_height(name) for name in names],
        )[:, 0]
        for axes, name in zip(column, names, strict=True):
            _frame(axes, course, theme)
            PANELS[name](axes, course, theme)
            axes.set_ylim(bottom=0, auto=None)
            _legend(axes, theme)
        column[-1].set_xlabel("seconds since the start", color=theme.faint)
        return figure


def _height(name: str) -> float:
    return PANEL_INCHES * (0.55 if name == "errors" else 1.0)


def as_bytes(figure: Figure, form: str, dpi: int = 150) -> bytes:
    """The figure as `png` or `svg`, the same bytes each time."""
    with rc_context(FONT), io.BytesIO() as file:
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        figure.savefig(
            file, format=form, dpi=dpi, facecolor=figure.get_facecolor(), metadata=metadata
        )
        return file.getvalue()


def finite(values: Floats) -> Floats:
    """The values with a gap where a percentile falls among the failed."""
    return np.where(np.isfinite(values), values, np.nan)


def seconds_label(value: float, _: object = None) -> str:
    """A time as an axis says it: milliseconds below a second."""
    if value == 0:
        return "0"
    return f"{value * 1e3:.0f} ms" if abs(value) < 1 else f"{value:g} s"


def percent_label(value: float, _: object = None) -> str:
    """A share as an axis says it, with as many digits as its tick has: 0 %, 0.5 %, 20 %."""
    return f"{round(value * 100, 6):g} %"


def _frame(axes: Axes, course: Course, theme: Theme) -> None:
    axes.set_facecolor(theme.paper)
    axes.set_xlim(0, course.end)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    axes.tick_params(colors=theme.faint, length=0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(theme.faint)
    for begin, finish in course.breaches:
        axes.axvspan(begin, finish, color=theme.bad, alpha=0.06, linewidth=0)


def _title(axes: Axes, text: str, theme: Theme) -> None:
    axes.set_title(text, loc="left", fontsize=9.5, fontweight="bold", color=theme.ink)


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


def _objective(axes: Axes, course: Course, theme: Theme) -> None:
    if course.slo is not None:
        axes.axhline(course.slo, color=theme.bad, linewidth=1.2, linestyle=(0, (5, 3)))
        axes.annotate(
            f"objective {seconds_label(course.slo)}",
            (1, course.slo),
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
