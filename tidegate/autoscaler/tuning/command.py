"""`tidegate tune`: the line of policies on one's own traffic, and the settings to paste."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from tidegate.autoscaler.simulator.named_traces import find_trace
from tidegate.autoscaler.simulator.progress import with_progress
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.simulator.traces import Trace
from tidegate.autoscaler.tuning.choice import (
    CANDIDATES,
    DEFAULT,
    Choice,
    choose,
    parts_of,
    scores_of,
)
from tidegate.autoscaler.tuning.recorded_rates import recorded_trace
from tidegate.store.query import time_ranges

BAD_USE = 2


@dataclass(frozen=True, slots=True)
class Tuning:
    """What to try.

    Attributes:
        trace: the traffic.
        system: the simulated service.
        policies: the ones to try beside the default; empty: those of `CANDIDATES`.
        parts: of the trace.
        seeds: runs of each policy on each part.
        worth: the replica-seconds that a violation-second is worth.
    """

    trace: Trace
    system: System
    policies: Sequence[str]
    parts: int
    seeds: int
    worth: float


def read_trace(
    csv: str | None, peak: float | None, recorded: str | None, prometheus: str
) -> tuple[Trace, int]:
    """The traffic to tune for, and the minutes of it that are not known.

    Args:
        csv: a CSV file or the name of a trace.
        peak: what to rescale it to, in requests a second; None: as it is.
        recorded: instead of a file, how much of what Prometheus has recorded, such as `14d`.
        prometheus: its URL.

    Raises:
        ValueError: neither or both are given, or the trace or the duration is invalid.
        RatesError: Prometheus has no such rates.
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


def tune(tuning: Tuning, *, as_json: bool) -> int:
    """Try the policies and print what is best.

    Returns:
        The exit code: 2 if a policy or the trace is invalid; the reason is on stderr.
    """
    policies = list(dict.fromkeys((DEFAULT, *(tuning.policies or CANDIDATES))))
    try:
        parts = parts_of(tuning.trace, tuning.parts)
        scores = scores_of(policies, parts, tuning.system, tuning.seeds, progress=with_progress)
    except ValueError as error:
        sys.stderr.write(f"tune: {error}\n")
        return BAD_USE
    choice = choose(scores, tuning.worth)
    if as_json:
        sys.stdout.write(json.dumps(asdict(choice), indent=2) + "\n")
        return 0
    Console().print(_table(choice, tuning))
    sys.stdout.write("\n".join(_conclusion(choice)) + "\n")
    return 0


def settings_of(policy: str) -> str:
    """The lines of tidegate.toml."""
    return f'[autoscaler]\npolicy = "{policy}"'


def _table(choice: Choice, tuning: Tuning) -> Table:
    system = tuning.system
    table = Table(
        title=(
            f"{tuning.trace.name}: {tuning.trace.seconds / 3600:.3g} h in {tuning.parts} parts,"
            f" {tuning.seeds} seeds; {system.slots} slots, {system.service_seconds:g} s per request,"
            f" p{100 * system.slo_quantile:g} ≤ {system.slo_seconds:g} s"
        )
    )
    table.add_column("policy", overflow="fold")
    for name in ("violation s", "replica s", "too late", "price", "on the line"):
        table.add_column(name, justify="right", overflow="fold")
    for policy, total in sorted(choice.totals.items(), key=lambda one: one[1].price):
        table.add_row(
            policy,
            f"{total.violation_seconds:,.0f}",
            f"{total.replica_seconds:,.0f}",
            f"{total.over_slo_ratio:.2%}",
            f"{total.price:,.0f}",
            "yes" if policy in choice.line else "",
        )
    return table


def _conclusion(choice: Choice) -> list[str]:
    saved = 1 - choice.held_out_price / choice.default_price if choice.default_price else 0.0
    chosen = ", ".join(choice.held_out)
    held_out = (
        f"On the parts they were not chosen on, they pay {choice.held_out_price:,.0f}; {DEFAULT} with its"
        f" defaults pays {choice.default_price:,.0f} ({saved:.1%} saved)."
    )
    lines = [f"Chosen on the other parts, for each part in turn: {chosen}.", held_out]
    if choice.best == DEFAULT:
        return [*lines, f"Keep the default ({DEFAULT}):", "", settings_of(DEFAULT)]
    return [*lines, "To use the best of all parts:", "", settings_of(choice.best)]
