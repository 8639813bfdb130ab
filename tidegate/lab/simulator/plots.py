"""Plots: each policy over time, and violations against cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tidegate.autoscaler.policy_expression import parse
from tidegate.lab.simulator.comparison import PolicyResult
from tidegate.lab.simulator.run import Run
from tidegate.lab.simulator.score import BIN_SECONDS, binned
from tidegate.lab.simulator.system import System
from tidegate.loadgen.report.theme import STYLE

# Okabe and Ito's colours, distinguishable with any colour vision.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# For variants of one policy.
MARKS: Final = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "p", "*", "h")
# Around a point, for the policies that are to be found at once.
RINGS: Final = ("o", "s")
# Marks of decisions by reason; other reasons that keep the number have none.
DECISION_MARKS: Final = {
    "up": ("^", "more replicas"),
    "down": ("v", "fewer replicas"),
    "no-signal": ("x", "held: no usable signals"),
    "limited": ("s", "limited by the bounds"),
}
# Beside the axes, where it hides no point: the worst policy is always in a corner.
BESIDE: Final[dict[str, Any]] = {
    "loc": "upper left",
    "bbox_to_anchor": (1.0, 1.0),
    "fontsize": "small",
}
# Not clipped, so that a point on the axis (no violations) is visible.
POINT: Final[dict[str, Any]] = {"markersize": 8, "alpha": 0.8, "clip_on": False}
RING: Final[dict[str, Any]] = {
    "fillstyle": "none",
    "markeredgewidth": 1.5,
    "color": "black",
    "linestyle": "none",
    "clip_on": False,
}
ALL_TRACES: Final = "all traces, in sum"
Sums = Mapping[str, tuple[float, float]]
"""By policy, its replica-seconds and violation-seconds."""


@rc_context(STYLE)
def write_page(
    path: Path, title: str, runs: Mapping[str, Run], results: Sequence[PolicyResult], system: System
) -> None:
    """Write load, replicas, p95 and decisions of one trace, and Pareto plots of all, as PNG, SVG or PDF.

    The suffix of the path is the format. The runs are those of each policy on the same trace.
    """
    fronts = _by_trace(results)
    heights = (2, 3, 3, max(1.5, 0.35 * len(runs)), *[4] * len(fronts))
    figure = Figure(figsize=(13, sum(heights)), layout="constrained")
    figure.suptitle(title)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    load = figure.add_subplot(grid[0])
    replicas = figure.add_subplot(grid[1], sharex=load)
    latency = figure.add_subplot(grid[2], sharex=load)
    decisions = figure.add_subplot(grid[3], sharex=load)
    _plot_load(load, next(iter(runs.values())))
    colours = dict(zip(runs, cycle(COLOURS), strict=False))
    for number, (name, run) in enumerate(runs.items()):
        colour = colours[name]
        _plot_replicas(replicas, name, run, colour)
        at, p95 = binned(run, system.slo_quantile)
        latency.plot(at / 60, p95, color=colour, linewidth=0.8, label=name)
        _plot_decisions(decisions, number, run, colour)
    objective = f"objective: {system.slo_seconds:g} s"
    latency.axhline(system.slo_seconds, color="black", linestyle="--", linewidth=1, label=objective)
    latency.legend(handles=latency.lines[-1:], **BESIDE)
    latency.set(ylabel=f"p{100 * system.slo_quantile:g} response, s")
    latency.set_yscale("log", subs=(2, 5))
    for set_formatter in (latency.yaxis.set_major_formatter, latency.yaxis.set_minor_formatter):
        set_formatter("{x:g}")
    replicas.set(ylabel="replicas ready")
    replicas.legend(**BESIDE)
    _explain_marks(decisions)
    decisions.set(
        xlabel="minutes", ylabel="decisions", yticks=range(len(runs)), yticklabels=list(runs)
    )
    decisions.set_ylim(len(runs) - 0.5, -0.5)
    for row, (name, own) in enumerate(fronts.items(), 4):
        axes = figure.add_subplot(grid[row])
        axes.set_title(name)
        pareto(axes, summed(own), colours)
    figure.savefig(path, dpi=110)


def _by_trace(results: Sequence[PolicyResult]) -> dict[str, list[PolicyResult]]:
    """The scores by trace, and all of them if there are several traces."""
    names = dict.fromkeys(result.trace for result in results)
    found = {name: [result for result in results if result.trace == name] for name in names}
    return {**found, ALL_TRACES: list(results)} if len(found) > 1 else found


def summed(results: Iterable[PolicyResult]) -> Sums:
    """The sums over the traces."""
    sums: dict[str, tuple[float, float]] = {}
    for one in results:
        cost, harm = sums.get(one.policy, (0.0, 0.0))
        score = one.score
        sums[one.policy] = (cost + score.replica_seconds, harm + score.violation_seconds)
    return sums


@rc_context(STYLE)
def pareto_page(
    path: Path,
    title: str,
    sums: Sums,
    *,
    ringed: Mapping[str, str] = MappingProxyType({}),
    floor: float | None = None,
) -> None:
    """Write only the Pareto plot; arguments as for `write_page` and `pareto`."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    figure.suptitle(title)
    pareto(figure.add_subplot(), sums, ringed=ringed, floor=floor)
    figure.savefig(path, dpi=110)


def pareto(
    axes: Axes,
    sums: Sums,
    colours: Mapping[str, str] | None = None,
    *,
    ringed: Mapping[str, str] = MappingProxyType({}),
    floor: float | None = None,
) -> None:
    """Violation-seconds against replica-seconds; the lower left is best.

    Args:
        axes: to draw on.
        sums: by policy.
        colours: by policy; None: one colour for all variants of a policy.
        ringed: what to call the policies with a ring around their point, at most two; by policy.
        floor: the violation-seconds that remain with the maximum of replicas at all times; None: not shown.
    """
    names_by_policy: dict[str, list[str]] = {}
    for name in sums:
        names_by_policy.setdefault(parse(name).name, []).append(name)
    for number, names in enumerate(names_by_policy.values()):
        for mark, name in zip(cycle(MARKS), names, strict=False):
            cost, harm = sums[name]
            label = f"{name}: {harm:,.0f}, {cost:,.0f}"
            colour = colours[name] if colours else COLOURS[number % len(COLOURS)]
            axes.plot(cost, harm, mark, color=colour, label=label, **POINT)
    front = _front(list(sums.values()))
    line: dict[str, Any] = {"color": "grey", "linewidth": 0.8, "zorder": 0}
    axes.plot(*zip(*front, strict=True), label="no policy beats these in both", **line)
    for mark, (name, label) in zip(RINGS, ringed.items(), strict=False):
        axes.plot(*sums[name], mark, markersize=16, **RING)
        # In the legend it is smaller. The layout makes room for what is not clipped, even if it is empty.
        axes.plot([], [], mark, markersize=8, label=label, **{**RING, "clip_on": True})
    if floor is not None:
        label = f"{floor:,.0f} remain with the maximum of replicas"
        axes.axhline(floor, color="black", linestyle=":", linewidth=1, label=label)
    # Names beside the points would overlap where policies are close.
    axes.legend(**BESIDE, title="violation-seconds, replica-seconds")
    axes.set(
        xlabel="cost: replica-seconds",
        ylabel="violation-seconds: time in which the objective was missed",
    )
    harms = [harm for _, harm in sums.values()]
    _scale_violations(axes, harms if floor is None else [*harms, floor])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)


def _scale_violations(axes: Axes, harms: Sequence[float]) -> None:
    """Scale the axis for these violation-seconds: policies may be decades apart, and one may have none."""
    axes.yaxis.set_major_formatter("{x:,.0f}")
    linear_up_to = 10 * BIN_SECONDS
    if min(harms) >= linear_up_to and max(harms) < 10 * min(harms):
        return  # within a decade, where a logarithmic axis has too few labels
    axes.set_yscale("symlog", linthresh=linear_up_to, subs=(2, 5))
    for set_formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        set_formatter("{x:,.0f}")
    # Up to there the scale is linear and needs its 0; beyond it, the margin would reach below 0.
    bottom = 0 if min(harms) < linear_up_to else min(harms) / 2
    axes.set_ylim(bottom, max(linear_up_to, axes.get_ylim()[1]))


def _front(points: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """The Pareto front: the points that no other beats in both, by ascending cost."""
    front: list[tuple[float, float]] = []
    for cost, harm in sorted((cost, harm) for cost, harm in points):
        if not front or harm < front[-1][1]:
            front.append((cost, harm))
    return front


def _plot_load(axes: Axes, run: Run) -> None:
    edges = np.arange(0, run.seconds + BIN_SECONDS, BIN_SECONDS)
    counts, _ = np.histogram(run.arrivals, edges)
    axes.stairs(counts / BIN_SECONDS, edges / 60, color="grey", fill=True)
    axes.set(ylabel="requests/s", ylim=(0, None))


def _plot_replicas(axes: Axes, name: str, run: Run, colour: str) -> None:
    at = [tick.at / 60 for tick in run.ticks]
    axes.step(
        at,
        [tick.signals.ready for tick in run.ticks],
        where="post",
        color=colour,
        label=f"{name}: {run.replica_seconds:,.0f} replica-seconds",
    )


def _plot_decisions(axes: Axes, row: int, run: Run, colour: str) -> None:
    for reason, (mark, _) in DECISION_MARKS.items():
        at = [tick.at / 60 for tick in run.ticks if tick.decision.reason == reason]
        style: dict[str, Any] = {"color": colour, "markersize": 4, "linestyle": "none"}
        axes.plot(at, [row] * len(at), marker=mark, **style)


def _explain_marks(axes: Axes) -> None:
    for mark, label in DECISION_MARKS.values():
        axes.plot([], [], marker=mark, color="grey", markersize=4, linestyle="none", label=label)
    axes.legend(**BESIDE, title="no mark: unchanged")
