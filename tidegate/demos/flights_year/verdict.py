"""What a replay showed: a line for each period, a line for each alert, and whether every check holds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.table import Table

from tidegate.demos.flights_year.ground_truth import GroundTruth
from tidegate.monitoring.report.alerts import FiredAlert
from tidegate.monitoring.report.counter_increases import Floats
from tidegate.monitoring.report.findings import Findings

PSI_TOLERANCE: Final = 0.02
"""Relative difference of a PSI between Prometheus and numpy; a PSI below 0.1 is compared relative to 0.1."""
CERTAIN: Final = 2.0
"""A PSI above its threshold by this factor stays above it while the window of the rules moves on."""
ALERT_SECONDS: Final = 60.0
"""Within this time the alert about such drift fires, also on a busy machine: 15 s of it drift must last."""
ACCURACY_TOLERANCE: Final = 0.02
"""Expected and realised accuracy may differ by this much where nothing has drifted."""


@dataclass(frozen=True, slots=True)
class PeriodResult:
    """What a replay showed about one period.

    Attributes:
        name: the period's.
        rows: rows that were answered.
        expected: expected accuracy, from Prometheus' counters.
        realised: realised accuracy, from the outcomes in the store.
        true: realised accuracy, by numpy from the rows that were sent.
        indices: PSI by feature, from Prometheus' counters.
        psi_error: the largest difference of a PSI from numpy's, relative to it (or to 0.1).
    """

    name: str
    rows: int
    expected: float
    realised: float
    true: float
    indices: Mapping[str, float]
    psi_error: float

    @property
    def stable(self) -> bool:
        """Whether no feature has drifted."""
        return max(self.indices.values(), default=0.0) < 0.1

    @property
    def gap(self) -> float:
        """Expected minus realised accuracy."""
        return self.expected - self.realised


def period_results(found: Findings, expected: Floats, truth: GroundTruth) -> list[PeriodResult]:
    """The result of each period.

    Args:
        found: the report's findings.
        expected: increase of `ml_expected_correct_total` in each period.
        truth: the rows that were sent.
    """
    results: list[PeriodResult] = []
    for number, quality in enumerate(found.quality):
        rows = truth.period == number
        count = int(rows.sum())
        indices = {
            each.name: each.psi_by_period()[number] or 0.0 for each in found.counters.features
        }
        psi_error = max(
            (
                abs(index - truth.psi(name, rows)) / max(0.1, truth.psi(name, rows))
                for name, index in indices.items()
            ),
            default=np.inf,
        )
        results.append(
            PeriodResult(
                name=quality.period.name,
                rows=count,
                expected=float(expected[number]) / count,
                realised=float("nan") if quality.realised is None else quality.realised,
                true=float(truth.correct[rows].mean()),
                indices=indices,
                psi_error=psi_error,
            )
        )
    return results


def checks(
    results: Sequence[PeriodResult],
    alerts: Sequence[FiredAlert],
    drifted: Collection[str],
    *,
    sent: int,
    stored: int,
    control: str,
) -> Iterator[tuple[bool, str]]:
    """Each check: whether it holds, and a sentence for the terminal.

    Args:
        results: the result of each period.
        alerts: those that fired.
        drifted: the features about which an alert must have fired.
        sent: the number of labels that were sent.
        stored: the number of labels in the store.
        control: the name of the period without drift.
    """
    yield stored == sent, f"{stored:,} labels in the store, {sent:,} sent"
    psi_error = max((result.psi_error for result in results), default=np.inf)
    yield (
        psi_error <= PSI_TOLERANCE,
        f"each period's PSI equals numpy's on the same rows, within {100 * psi_error:.2f} %",
    )
    # NaN, the accuracy without a label, is never near.
    same = all(abs(result.realised - result.true) < 1e-9 for result in results)
    yield same, "each period's accuracy equals numpy's on the same rows"
    fired = {alert.subject for alert in alerts if alert.name == "DriftFeatureCritical"}
    missing = ", ".join(sorted(set(drifted) - fired))
    yield (
        not missing,
        f"{len(fired)} features have a critical alert of drift"
        + (f", but these have drifted as far: {missing}" if missing else ""),
    )
    stable = [result for result in results if result.stable]
    gap = max((abs(result.gap) for result in stable), default=0.0)
    names = ", ".join(result.name for result in stable) or "no period"
    yield (
        gap <= ACCURACY_TOLERANCE,
        (
            f"where every PSI is below 0.1 ({names}), expected and realised accuracy differ by "
            f"at most {100 * gap:.1f} percentage points"
        ),
    )
    if not any(result.stable for result in results if result.name != control):
        yield (
            True,
            "in every real month a feature has drifted, so do not trust expected accuracy there",
        )


def period_table(results: Sequence[PeriodResult]) -> Table:
    """Accuracy and drift by period."""
    table = Table(
        "period", "rows", "expected accuracy", "accuracy", "difference", "drifted (PSI > 0.1)",
        box=None, pad_edge=False,
    )  # fmt: skip
    for result in results:
        by_psi = sorted(result.indices.items(), key=lambda pair: -pair[1])
        drifted = ", ".join(f"{name} {index:.2f}" for name, index in by_psi if index > 0.1)
        table.add_row(
            result.name,
            f"{result.rows:,}",
            f"{result.expected:.1%}",
            f"{result.realised:.1%}",
            f"{100 * result.gap:+.1f}",
            drifted or "none",
        )
    return table


def alert_table(found: Findings) -> Table:
    """When alerts fired."""
    table = Table("fired in", "alert", "subject", box=None, pad_edge=False)
    for alert in found.counters.alerts:
        table.add_row(period_of(found, alert), alert.name, alert.subject or "the model")
    return table


def period_of(found: Findings, alert: FiredAlert) -> str:
    """The name of the period in which an alert began to fire."""
    for period in found.periods:
        if period.begin <= alert.begin < period.end:
            return period.name
    return "after"
