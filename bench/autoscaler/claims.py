"""What is asked of SLOQ, and whether it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, Literal

from bench.autoscaler.cells import SLOQ
from bench.autoscaler.comparison import (
    COST_BAR,
    VIOLATIONS_BAR,
    Half,
    Scores,
    against_hpa,
    dominances,
    values,
)
from bench.autoscaler.statistics import Estimate
from tidegate.lab.simulator.named_traces import find_trace

CALM: Final = ("steady", "diurnal")
MOST_REVERSALS: Final = 2.0

Verdict = Literal["holds", "does not hold", "holds in the mean", "does not hold in the mean"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim with its figure. "In the mean": the interval has both."""

    verdict: Verdict
    text: str


def claims(table: Scores, traces: Sequence[str], chosen: Sequence[Half]) -> list[Claim]:
    """All claims. Those about every trace are one line for each that does not keep them."""
    every = against_hpa(table, traces)
    found = [
        Claim(
            _at_most(every.violations, VIOLATIONS_BAR),
            f"at most {VIOLATIONS_BAR} × the better HPA's avoidable violation-seconds in sum:"  # noqa: RUF001
            f" {every.violations:.2f}",
        ),
        Claim(
            _at_most(every.cost, COST_BAR),
            f"at most {COST_BAR} × its replica-seconds in sum: {every.cost:.2f}",  # noqa: RUF001
        ),
        *_about_domination(table, traces),
        *_about_families(table, traces),
    ]
    for number, half in enumerate(chosen, start=1):
        for name, ratio, bar in (
            ("avoidable violation-seconds", half.there.violations, VIOLATIONS_BAR),
            ("replica-seconds", half.there.cost, COST_BAR),
        ):
            text = (
                f"chosen on half {number}, on the other at most {bar} × HPA's {name}: {ratio:.2f}"  # noqa: RUF001
            )
            found.append(Claim(_at_most(ratio, bar), text))
    for name in CALM:
        if name in traces:
            hours = find_trace(name).seconds / 3600
            count = fmean(values(table[SLOQ, name], "reversals")) / hours
            verdict: Verdict = "holds" if count <= MOST_REVERSALS else "does not hold"
            text = f"at most {MOST_REVERSALS:g} reversals an hour on {name}: {count:.1f}"
            found.append(Claim(verdict, text))
    return found


def _about_domination(table: Scores, traces: Sequence[str]) -> list[Claim]:
    text = "no default baseline has fewer violations and a lower cost"
    found = dominances(table, traces)
    if not found:
        return [Claim("holds", f"{text} on any trace")]
    return [
        Claim(
            "does not hold" if one.sure else "does not hold in the mean",
            f"{text} on {one.trace}: {one.policy} has {one.violations:,.0f} violation-seconds and"
            f" {one.cost:,.0f} replica-seconds more than SLOQ",
        )
        for one in found
    ]


def _about_families(table: Scores, traces: Sequence[str]) -> list[Claim]:
    text = "at most 1.1 × the better HPA's violation-seconds"  # noqa: RUF001
    found = [
        Claim(
            "does not hold" if excess.low > 0 else "does not hold in the mean",
            f"{text} on {trace}: {excess:,.0f} above",
        )
        for trace in traces
        if (excess := against_hpa(table, [trace]).excess).value > 0
    ]
    return found or [Claim("holds", f"{text} on every trace")]


def _at_most(estimate: Estimate, bar: float) -> Verdict:
    """With one seed there is no interval, and all is only "in the mean"."""
    if estimate.high <= bar:
        return "holds"
    if estimate.low > bar:
        return "does not hold"
    return "holds in the mean" if estimate.value <= bar else "does not hold in the mean"
