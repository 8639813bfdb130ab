"""One page of plots: how each policy did over time, and what each cost for how much harm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tidegate.autoscaler.simulator.matches import Match
from tidegate.autoscaler.simulator.run import Run
from tidegate.autoscaler.simulator.score import BIN_SECONDS, binned
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.words import name_of

# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Of policies of one kind, with other settings each.
MARKS: Final = ("o", "^", "s", "D", "v", "P")
DECISION_MARKS: Final = {"up": "^", "down": "v", "no-signal": "x", "limited": "s"}


def page(
    path: Path, title: str, runs: Mapping[str, Run], matches: Sequence[Match], system: System
) -> None:
    """Write load, replicas, p95, decisions, and the Pareto plot of one trace as PNG, SVG or PDF.

    Args:
        path: where; its suffix is the format.
        title: of the page.
        runs: one run of each policy.
        matches: the scores over all seeds.
        system: what was simulated.
    """
    figure = Figure(figsize=(11, 14), layout="constrained")
    figure.suptitle(title)
    grid = figure.add_gridspec(5, 1, height_ratios=(2, 3, 3, 1.5, 4))
    load = figure.add_subplot(grid[0])
    replicas = figure.add_subplot(grid[1], sharex=load)
    latency = figure.add_subplot(grid[2], sharex=load)
    decisions = figure.add_subplot(grid[3], sharex=load)
    _plot_load(load, next(iter(runs.values())))
    for number, (name, run) in enumerate(runs.items()):
        colour = COLOURS[number % len(COLOURS)]
        _plot_replicas(replicas, name, run, colour)
        at, p95 = binned(run, system.slo_quantile)
        latency.plot(at / 60, p95, color=colour, linewidth=0.8, label=name)
        _plot_decisions(decisions, number, run, colour)
    latency.axhline(system.slo_seconds, color="black", linestyle="--", linewidth=1)
    latency.set(ylabel=f"p{100 * system.slo_quantile:g} response, s", yscale="log")
    replicas.set(ylabel="replicas ready")
    replicas.legend(loc="upper right", fontsize="small")
    decisions.set(
        xlabel="minutes", ylabel="decisions", yticks=range(len(runs)), yticklabels=list(runs)
    )
    decisions.invert_yaxis()
    pareto(figure.add_subplot(grid[4]), matches)
    figure.savefig(path, dpi=110)


def pareto_page(path: Path, title: str, matches: Sequence[Match]) -> None:
    """Write the Pareto plot alone."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    figure.suptitle(title)
    pareto(figure.add_subplot(), matches)
    figure.savefig(path, dpi=110)


def pareto(axes: Axes, matches: Iterable[Match]) -> None:
    """Violation-seconds against replica-seconds, summed over traces; the lower left is best."""
    sums: dict[str, list[float]] = {}
    for match in matches:
        total = sums.setdefault(match.policy, [0.0, 0.0])
        total[0] += match.score.replica_seconds
        total[1] += match.score.violation_seconds
    kinds: dict[str, list[str]] = {}
    for name in sums:
        kinds.setdefault(name_of(name), []).append(name)
    for number, names in enumerate(kinds.values()):
        for mark, name in zip(cycle(MARKS), names, strict=False):
            cost, harm = sums[name]
            told = f"{name}: {harm:,.0f}, {cost:,.0f}"
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(cost, harm, mark, color=colour, label=told, markersize=8, alpha=0.8)
    # Names beside the points would cover one another where policies are alike.
    axes.legend(loc="upper right", fontsize="small", title="violation-seconds, replica-seconds")
    front = _front(list(sums.values()))
    axes.plot(*zip(*front, strict=True), color="grey", linewidth=0.8, zorder=0)
    axes.set(xlabel="replica-seconds", ylabel="violation-seconds")
    # Policies lie decades apart, and none may be left out for having no violation at all.
    axes.set_yscale("symlog", linthresh=10 * BIN_SECONDS, subs=(2, 5))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)


def _front(points: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """The points that none beats in both, by rising cost."""
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
    for reason, mark in DECISION_MARKS.items():
        at = [tick.at / 60 for tick in run.ticks if tick.decision.reason == reason]
        style: dict[str, Any] = {"color": colour, "markersize": 4, "linestyle": "none"}
        axes.plot(at, [row] * len(at), marker=mark, **style)
