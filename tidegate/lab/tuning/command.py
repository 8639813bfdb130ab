"""`tidegate tune`: the line of policies on one's own traffic, and the settings to paste."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from tidegate.lab.simulator.command import plot_problem
from tidegate.lab.simulator.named_traces import find_trace
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Trace
from tidegate.lab.tuning.choice import (
    CANDIDATES,
    DEFAULT,
    Choice,
    choose,
    floor_of,
    parts_of,
    scores_of,
)
from tidegate.lab.tuning.policy_settings import settings_of
from tidegate.lab.tuning.recorded_rates import recorded_trace
from tidegate.store.query import time_ranges
from tidegate.terminal_console import Console

BAD_USE = 2
# What is left of 80 columns; the longest candidates are folded.
POLICY_WIDTH = 22


@dataclass(frozen=True, slots=True)
class Tuning:
    """What to try.

    Without policies, those of `CANDIDATES` are tried beside the default and the present one. A second in
    violation of the objective is `worth` so many replica-seconds. `tick_seconds` is the present setting.
    """

    trace: Trace
    system: System
    policies: Sequence[str]
    parts: int
    seeds: int
    worth: float
    present: str = DEFAULT
    tick_seconds: float = 5.0


def read_trace(
    csv: str | None, peak: float | None, recorded: str | None, prometheus: str
) -> tuple[Trace, int]:
    """The traffic to tune for, and the minutes of it that are not known.

    From a CSV file or by the name of a trace, or what Prometheus has `recorded` in a time such as `14d`.

    Raises:
        ValueError: neither or both are given, or the trace or the duration is invalid.
        HttpError: Prometheus has no such rates.
        OSError: the file cannot be read.
    """
    if (csv is None) == (recorded is None):
        raise ValueError("give either --trace or --from-prometheus")
    if csv is not None:
        return find_trace(csv, peak), 0
    now = time.time()
    begin = now - time_ranges.age(recorded or "").total_seconds()
    trace, missing = asyncio.run(recorded_trace(prometheus, begin, now))
    return (trace if peak is None else trace.with_peak(peak)), missing


def tune(tuning: Tuning, *, as_json: bool, plot: Path | None = None) -> int:
    """Try the policies and print what is best.

    Returns:
        The exit code: 2 if a policy, the trace or the plot format is invalid; the reason is on stderr.

    Raises:
        OSError: the plot cannot be written.
    """
    if problem := plot_problem(plot):
        sys.stderr.write(f"tune: {problem}\n")
        return BAD_USE
    policies = list(dict.fromkeys((DEFAULT, tuning.present, *(tuning.policies or CANDIDATES))))
    try:
        parts = parts_of(tuning.trace, tuning.parts)
        scores = scores_of(policies, parts, tuning.system, tuning.seeds)
        floor = floor_of(parts, tuning.system, tuning.seeds)
    except ValueError as error:
        sys.stderr.write(f"tune: {error}\n")
        return BAD_USE
    choice = choose(scores, tuning.worth)
    if plot:
        _plot(plot, choice, tuning, floor)
    if as_json:
        found = {**asdict(choice), "present": tuning.present, "floor_violation_seconds": floor}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    Console().print(_table(choice, tuning))
    sys.stdout.write("\n".join(_conclusion(choice, tuning, floor)) + "\n")
    return 0


def _plot(path: Path, choice: Choice, tuning: Tuning, floor: float) -> None:
    from tidegate.lab.simulator.plots import pareto_page  # noqa: PLC0415 - slow to load

    sums = {
        policy: (one.replica_seconds, one.violation_seconds)
        for policy, one in choice.totals.items()
    }
    ringed = {tuning.present: f"present: {tuning.present}"}
    if choice.best in ringed:
        ringed = {choice.best: f"present and chosen: {choice.best}"}
    else:
        ringed[choice.best] = f"chosen: {choice.best}"
    pareto_page(path, _title(tuning), sums, ringed=ringed, floor=floor)


def _title(tuning: Tuning) -> str:
    system = tuning.system
    seeds = "1 seed" if tuning.seeds == 1 else f"{tuning.seeds} seeds"
    return (
        f"{tuning.trace.name}: {tuning.trace.seconds / 3600:.3g} h in {tuning.parts} parts,"
        f" {seeds}; {system.slots} slots, {system.service_seconds:g} s per request,"
        f" p{100 * system.slo_quantile:g} ≤ {system.slo_seconds:g} s"
    )


def _table(choice: Choice, tuning: Tuning) -> Table:
    table = Table(title=_title(tuning), box=None, pad_edge=False)
    table.add_column("policy", overflow="fold", min_width=POLICY_WIDTH)
    for name in (
        *("violation\ns", "replica\ns", "too\nlate", "replica s\nper million\nkept"),
        *("price", "on\nline"),
    ):
        table.add_column(name, justify="right", overflow="fold")
    for policy, total in sorted(choice.totals.items(), key=lambda one: one[1].price):
        table.add_row(
            policy,
            f"{total.violation_seconds:,.0f}",
            f"{total.replica_seconds:,.0f}",
            f"{total.over_slo_ratio:.2%}",
            f"{total.cost_per_million:,.0f}",
            f"{total.price:,.0f}",
            "yes" if policy in choice.line else "",
        )
    return table


def _conclusion(choice: Choice, tuning: Tuning, floor: float) -> list[str]:
    ratio = choice.held_out_price / choice.default_price if choice.default_price else 1.0
    saved = f"{1 - ratio:.1%} saved" if ratio <= 1 else f"{ratio - 1:.1%} more"
    most = tuning.system.bounds.max
    chosen = ", ".join(choice.held_out)
    held_out = (
        f"On the parts they were not chosen on, they pay {choice.held_out_price:,.0f}; {DEFAULT} with its"
        f" defaults pays {choice.default_price:,.0f} ({saved})."
    )
    lines = [
        f"{floor:,.0f} violation-seconds remain with the maximum of {most} replicas at all times.",
        f"Chosen on the other parts, for each part in turn: {chosen}.",
        held_out,
    ]
    best, present = choice.totals[choice.best], choice.totals[tuning.present]
    settings = ["", settings_of(choice.best, tuning.system, tuning.tick_seconds)]
    if choice.best == tuning.present:
        return [*lines, f"Keep your present policy ({choice.best}):", *settings]
    change = (
        f"Your present policy, {tuning.present}: {present.over_slo_ratio:.2%} of the requests over the"
        f" objective, {present.cost_per_million:,.0f} replica-seconds per million within it;"
        f" {choice.best}: {best.over_slo_ratio:.2%}, {best.cost_per_million:,.0f}."
    )
    use = (
        f"Use the default ({DEFAULT}):"
        if choice.best == DEFAULT
        else "To use the best of all parts:"
    )
    return [*lines, change, use, *settings]
