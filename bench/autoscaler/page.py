"""The section of the comparison in bench/RESULTS.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Final

from bench.autoscaler.comparison import (
    BASELINES,
    FLOOR,
    HPAS,
    SLOQ,
    Scores,
    against_hpa,
    avoidable,
    better_hpa,
    values,
)
from tidegate.lab.simulator.families import FAMILIES
from tidegate.lab.simulator.system import System

MINUTE_MEAN: Final = "minute"
NOW: Final = "sample"

INTRODUCTION: Final = (
    "Violation-seconds are 10 for each 10 s of arrivals whose p95 is over the objective. **Unavoidable** are"
    " those of as many replicas as allowed at all times: the first seconds of the run, a rise faster than"
    " replicas start, a slow service. Everything else here is about what is left, the **avoidable** ones."
)
BETTER: Final = (
    "The better HPA is, on each trace, the one with fewer violation-seconds of `hpa:inflight=0.7` (the last"
    " sample) and `hpa:inflight=0.7,minute_mean=1` (the mean of a minute), the cheaper one if they differ by"
    " less than 10 s. Ratios are of sums over seeds. In parentheses: 95 % intervals over the seeds, which are"
    " paired, since all policies get the same requests (Student's t; of a ratio, from the residuals)."
)


def page(provenance: str, traces: Sequence[str], table: Scores) -> str:
    """The section.

    Args:
        provenance: what wrote it, when, on which machine, with how many seeds.
        traces: in order.
        table: the scores.
    """
    lines = [
        *("## Scaling policies compared", "", provenance, "", _service(), ""),
        *(INTRODUCTION, "", BETTER, ""),
        *("### SLOQ and the better HPA", "", *_against(table, traces), ""),
        *("### All default settings", "", *_defaults(table, traces), ""),
        *("![Replicas and p95 over the spike](../docs/img/autoscaler-spike.png)", ""),
        *("### Requests over the objective, and cost of those within", ""),
        *(*_requests(table, traces), ""),
        "![Violation-seconds against replica-seconds](../docs/img/autoscaler-pareto.png)",
    ]
    return "\n".join(lines) + "\n"


def write_section(file: Path, section: str) -> None:
    """Replace the section of this title, or add it at the end.

    Args:
        file: bench/RESULTS.md; it need not exist.
        section: Markdown that begins with a heading of the second level, and has no other one of it.
    """
    title, _, _ = section.partition("\n")
    before = file.read_text(encoding="utf-8") if file.exists() else "# Results\n"
    old = re.compile(rf"^{re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    new = section.rstrip("\n") + "\n"
    if old.search(before):
        text = old.sub(lambda found: new + ("\n" if found.end() < len(before) else ""), before)
    else:
        text = f"{before.rstrip()}\n\n{new}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _service() -> str:
    system = System()
    return (
        f"A replica has {system.slots} slots and takes {system.startup_seconds:g} s to start; a request takes"
        f" {system.service_seconds:g} s (lognormal, cv {system.service_cv:g}); the objective is p95 ≤"
        f" {system.slo_seconds:g} s; {system.bounds.min} to {system.bounds.max} replicas, {system.start} at"
        " the start. Some families of traces are about another service (`--operating-point`): "
        + ", ".join(
            f"{name}" for name, family in FAMILIES.items() if family.operating_point != "default"
        )
        + "."
    )


def _grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(columns)} |",
        f"|{' --- |' * len(columns)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def sums(traces: Sequence[str]) -> dict[str, Sequence[str]]:
    """The parts of the traces that get a line of sums, by its title."""
    parts = {
        "**all**": traces,
        "**families**": [name for name in traces if name in FAMILIES],
        "**others**": [name for name in traces if name not in FAMILIES],
        "**all but `batches`**": [name for name in traces if name != "batches"],
    }
    return {title: names for title, names in parts.items() if names}


def _against(table: Scores, traces: Sequence[str]) -> list[str]:
    rows = []
    for title, names in {**{name: [name] for name in traces}, **sums(traces)}.items():
        found = against_hpa(table, names)
        floor = sum(fmean(values(table[FLOOR, name], "violation_seconds")) for name in names)
        hpa = _cell(table, {name: better_hpa(table, name) for name in names})
        which = ""
        if len(names) == 1:
            minute = better_hpa(table, names[0]) == HPAS[1]
            which = f" ({MINUTE_MEAN if minute else NOW})"
        rows.append(
            (
                *(title, f"{floor:,.0f}", hpa + which),
                *(_cell(table, dict.fromkeys(names, SLOQ)), f"{found.violations:.2f}"),
                f"{found.cost:.2f}",
            )
        )
    return [
        *(
            "Avoidable violation-seconds · replica-seconds in thousands, and SLOQ's as ratios of HPA's.",
            "",
        ),
        *_grid(
            ("trace", "unavoidable", "the better HPA", "sloq", "violations", "cost"),
            rows,
        ),
    ]


def _cell(table: Scores, policy_on: Mapping[str, str]) -> str:
    late = sum(fmean(avoidable(table, policy, name)) for name, policy in policy_on.items())
    cost = sum(
        fmean(values(table[policy, name], "replica_seconds")) for name, policy in policy_on.items()
    )
    return f"{late:,.0f} · {cost / 1000:,.1f}"


def _defaults(table: Scores, traces: Sequence[str]) -> list[str]:
    policies = (SLOQ, *BASELINES)
    rows = []
    for title, names in {**{name: [name] for name in traces}, **sums(traces)}.items():
        cells = []
        for policy in policies:
            reversals = sum(fmean(values(table[policy, name], "reversals")) for name in names)
            cells.append(f"{_cell(table, dict.fromkeys(names, policy))} · {reversals:,.1f}")
        rows.append((title, *cells))
    about = (
        "Avoidable violation-seconds · replica-seconds in thousands · reversals (a change against the last"
        " one within 10 minutes)."
    )
    return [
        *(about, ""),
        *_grid(("trace", *policies), rows),
    ]


def _requests(table: Scores, traces: Sequence[str]) -> list[str]:
    policies = (SLOQ, *HPAS, "kpa", FLOOR)
    rows = []
    for trace in traces:
        cells = []
        for policy in policies:
            late = fmean(values(table[policy, trace], "over_slo_ratio"))
            cost = fmean(values(table[policy, trace], "cost_per_million"))
            cells.append(f"{late:.2%} · {cost / 1000:,.1f}")
        rows.append((trace, *cells))
    about = (
        "Share of the requests over the objective · replica-seconds in thousands per million requests within"
        " it. `static` is what a service at its maximum costs."
    )
    return [
        *(about, ""),
        *_grid(("trace", *policies), rows),
    ]
