"""SLOQ and the better HPA on all named traces, for other services than the defaults were chosen with.

Each line changes one thing of the service or of the traffic. It has, in sum over the traces and as means
over the seeds: the violation-seconds that nothing can avoid; the avoidable ones and the replica-seconds in
thousands, of the better HPA and of SLOQ; their ratios; and where SLOQ does not hold.

    python -m bench.autoscaler.other_services               about two minutes for each line, on two cores
    python -m bench.autoscaler.other_services --seeds 10 --only "half of the requests"
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from types import MappingProxyType
from typing import Any, Final

from bench.autoscaler.cells import CORE, FLOOR, SLOQ
from bench.autoscaler.comparison import (
    Scores,
    against_hpa,
    avoidable,
    better_hpa,
    dominances,
    values,
)
from tidegate.lab.simulator.comparison import TraceSpec, compare_policies
from tidegate.lab.simulator.named_traces import NAMED_TRACES, find_trace
from tidegate.lab.simulator.system import System

# Days of `flights` take a third of the time, and are real only as they are.
NAMES: Final = tuple(name for name in NAMED_TRACES if name != "flights")


@dataclass(frozen=True, slots=True)
class Variant:
    """What differs.

    Attributes:
        factor: of the rates.
        given: fields of the service; they win over those of a trace's operating point.
    """

    factor: float = 1.0
    given: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


VARIANTS: Final = MappingProxyType(
    {
        "as it is": Variant(),
        "half of the requests": Variant(0.5),
        "twice the requests, up to 60 replicas": Variant(2.0, {"maximum": 60}),
        "start-up 10 s": Variant(given={"startup_seconds": 10.0}),
        "start-up 120 s": Variant(given={"startup_seconds": 120.0}),
        "1 slot, up to 120 replicas": Variant(given={"slots": 1, "maximum": 120}),
        "16 slots": Variant(given={"slots": 16}),
        "requests of equal length": Variant(given={"service_cv": 0.0}),
        "objective 1.2 s": Variant(given={"slo_seconds": 1.2}),
        "requests of 2 s, objective 6 s, a tenth of them": Variant(
            0.1, {"service_seconds": 2.0, "slo_seconds": 6.0}
        ),
    }
)


def main() -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--only", choices=VARIANTS, action="append", help="repeatable")
    arguments = parser.parse_args()
    if arguments.seeds < 1 or arguments.jobs < 1:
        parser.error("--seeds and --jobs must be at least 1")
    print("| service | unavoidable | HPA | SLOQ | violations | cost | where it does not hold |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.only or VARIANTS:
        table = scores(VARIANTS[name], arguments.seeds, arguments.jobs, name)
        print(line(name, table), flush=True)
    return 0


def specs_for(variant: Variant, names: Sequence[str] = NAMES) -> list[TraceSpec]:
    """The traces, rescaled, with the service that meets them."""
    return [
        TraceSpec(
            name,
            peak=float(variant.factor * find_trace(name).rates.max()),
            given=tuple(variant.given.items()),
        )
        for name in names
    ]


def scores(
    variant: Variant, seeds: int, jobs: int, title: str, names: Sequence[str] = NAMES
) -> Scores:
    """The scores of SLOQ, the baselines and the floor, by policy and trace."""
    specs = specs_for(variant, names)
    found = compare_policies(CORE, specs, System(), range(seeds), workers=jobs, title=title)
    return {(one.policy, one.trace): one.scores for one in found}


def line(name: str, table: Scores) -> str:
    """A line of the table."""
    traces = list(dict.fromkeys(trace for _, trace in table))
    against = against_hpa(table, traces)
    floor = sum(fmean(values(table[FLOOR, trace], "violation_seconds")) for trace in traces)
    hpa = [better_hpa(table, trace) for trace in traces]
    cells = [
        f"{floor:,.0f}",
        _both(table, traces, hpa),
        _both(table, traces, [SLOQ] * len(traces)),
        f"{against.violations.value:.2f}",
        f"{against.cost.value:.2f}",
        "; ".join(_failures(table, traces)) or "holds",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _both(table: Scores, traces: Sequence[str], policies: Sequence[str]) -> str:
    pairs = list(zip(policies, traces, strict=True))
    late = sum(fmean(avoidable(table, policy, trace)) for policy, trace in pairs)
    cost = sum(fmean(values(table[pair], "replica_seconds")) for pair in pairs)
    return f"{late:,.0f} · {cost / 1000:,.0f}"


def _failures(table: Scores, traces: Sequence[str]) -> list[str]:
    """The traces where SLOQ is over 1.1 times HPA, and the policies that are better in both."""
    over = {trace: against_hpa(table, [trace]).excess.value for trace in traces}
    return [
        *(f"`{trace}` {excess:.0f} s over" for trace, excess in over.items() if excess > 0),
        *(
            f"`{one.policy}` better on `{one.trace}` ({one.violations.value:.0f} s)"
            for one in dominances(table, traces)
        ),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
