"""`tidegate simulate`: compares policies on traces before one of them goes live."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from tidegate.lab.simulator.comparison import (
    PolicyResult,
    TraceSpec,
    compare_policies,
    run_one,
)
from tidegate.lab.simulator.system import System
from tidegate.terminal_console import Console

BAD_USE = 2
PLOT_SUFFIXES = (".png", ".svg", ".pdf")


def plot_problem(plot: Path | None) -> str:
    """Why plots cannot be written to this file, by its suffix; empty if they can, or are not wanted."""
    if plot is None or plot.suffix.lower() in PLOT_SUFFIXES:
        return ""
    return f"--plot {plot}: unknown format; expected one of {', '.join(PLOT_SUFFIXES)}"


def simulate(
    policies: Sequence[str],
    traces: Sequence[TraceSpec],
    system: System,
    seeds: int,
    *,
    as_json: bool,
    plot: Path | None,
) -> int:
    """Compare policies on traces, and print it.

    The plots show the first trace and seed over time, and the cost of each policy on each trace.

    Returns:
        The exit code: 2 if a policy, trace or plot format is invalid; the reason is on stderr.

    Raises:
        OSError: the plots cannot be written.
    """
    if problem := plot_problem(plot):
        sys.stderr.write(f"simulate: {problem}\n")
        return BAD_USE
    try:
        results = compare_policies(policies, traces, system, range(seeds))
        if plot:
            runs = {policy: run_one(policy, traces[0], system, 0) for policy in policies}
            title = f"{results[0].trace}: one of {seeds} runs over time, then the means of all"
            _plot(plot, title, runs, results, traces[0].system(system))
    except ValueError as error:
        sys.stderr.write(f"simulate: {error}\n")
        return BAD_USE
    if as_json:
        sys.stdout.write(json.dumps([as_object(result) for result in results], indent=2) + "\n")
    else:
        Console().print(as_table(results, {spec.system(system) for spec in traces}, seeds))
    return 0


def as_object(result: PolicyResult) -> dict[str, Any]:
    """A result as JSON: means over the seeds."""
    return {"policy": result.policy, "trace": result.trace, **asdict(result.score)}


def as_table(results: Sequence[PolicyResult], systems: set[System], seeds: int) -> Table:
    """The results as a table, one line per policy and trace."""
    system = next(iter(systems))
    table = Table(
        title=(
            f"{seeds} seeds; {system.slots} slots per replica, {system.service_seconds:g} s"
            f" per request, p{100 * system.slo_quantile:g} ≤ {system.slo_seconds:g} s"
            f"{' to the first byte' if system.until == 'first_byte' else ''}"
            if len(systems) == 1
            else f"{seeds} seeds; each trace with the service of its family"
        )
    )
    for name in ("trace", "policy"):
        table.add_column(name, overflow="fold")
    for name in ("violation s", "replica s", "reversals", "too late", "replica s per million kept"):
        table.add_column(name, justify="right", overflow="fold")
    before = ""
    for result in results:
        if before and result.trace != before:
            table.add_section()
        table.add_row(
            result.trace if result.trace != before else "",
            result.policy,
            f"{result.score.violation_seconds:,.0f}",
            f"{result.score.replica_seconds:,.0f}",
            f"{result.score.reversals:.1f}",
            f"{result.score.over_slo_ratio:.2%}",
            f"{result.score.cost_per_million:,.0f}",
        )
        before = result.trace
    return table


def _plot(path: Path, *page: Any) -> None:
    from tidegate.lab.simulator.plots import write_page  # noqa: PLC0415 - slow to load

    write_page(path, *page)
