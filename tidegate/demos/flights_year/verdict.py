"""What a replay showed: a line a month, a line an alert, and whether all of it is as it should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.table import Table

from tidegate.demos.flights_year.expected_alerts import Due, missing
from tidegate.demos.flights_year.ground_truth import Reason, Truth
from tidegate.drift.report.alerts import Fired
from tidegate.drift.report.counter_increases import Floats
from tidegate.drift.report.findings import Findings

TOLERANCE: Final = 0.02
"""Relative difference of a PSI between Prometheus and numpy; below 0.1, absolute in hundredths of that."""
POINTS: Final = 0.02
"""Expected and realised accuracy may differ by this much where nothing has drifted."""


@dataclass(frozen=True, slots=True)
class Line:
    """A month.

    Attributes:
        rows: answered.
        expected: accuracy, by Prometheus' counters.
        realised: accuracy, by the outcomes in the store.
        true: the same by numpy, of the rows that were sent.
        indices: PSI by feature, by Prometheus' counters.
        off: by how much one of them differs from numpy's at most, relative to it (or to 0.1).
    """

    name: str
    rows: int
    expected: float
    realised: float
    true: float
    indices: Mapping[str, float]
    off: float

    @property
    def still(self) -> bool:
        """Whether no feature has drifted."""
        return max(self.indices.values(), default=0.0) < 0.1

    @property
    def gap(self) -> float:
        """Expected minus realised accuracy."""
        return self.expected - self.realised


def lines(found: Findings, expected: Floats, truth: Truth) -> list[Line]:
    """A line a month.

    Args:
        found: what the report says.
        expected: growth of `ml_expected_correct_total` in each month.
        truth: the rows.
    """
    made: list[Line] = []
    for number, quality in enumerate(found.quality):
        rows = truth.month == number
        count = int(rows.sum())
        indices = {each.name: each.indices()[number] or 0.0 for each in found.counted.features}
        off = max(
            (
                abs(index - truth.psi(name, rows)) / max(0.1, truth.psi(name, rows))
                for name, index in indices.items()
            ),
            default=np.inf,
        )
        realised = float("nan") if quality.accuracy is None else quality.accuracy
        true = float(truth.right[rows].mean())
        made.append(
            Line(
                quality.period.name,
                count,
                float(expected[number]) / count,
                realised,
                true,
                indices,
                off,
            )
        )
    return made


def checks(
    made: Sequence[Line],
    reasons: Mapping[Fired, Reason],
    wanted: Sequence[Due],
    *,
    sent: int,
    stored: int,
    control: str,
) -> Iterator[tuple[bool, str]]:
    """What must hold, each with a sentence."""
    yield stored == sent, f"{stored:,} labels in the store for {sent:,} that were sent"
    off = max((line.off for line in made), default=np.inf)
    yield (
        off <= TOLERANCE,
        f"every month's PSI is numpy's on the same rows, to {100 * off:.2f} %",
    )
    wrong = max((abs(line.realised - line.true) for line in made), default=np.inf)
    yield bool(wrong < 1e-9), "every month's accuracy is numpy's on the same rows"
    explained = sum(reason.holds for reason in reasons.values())
    yield (
        explained == len(reasons),
        f"{explained} of {len(reasons)} alerts are explained by the rows that were sent",
    )
    yield fired_as_due(wanted, reasons)
    still = [line for line in made if line.still]
    gap = max((abs(line.gap) for line in still), default=0.0)
    names = ", ".join(line.name for line in still) or "no month"
    yield (
        gap <= POINTS,
        (
            f"where every PSI is below 0.1 ({names}), expected and realised accuracy differ by "
            f"{100 * gap:.1f} points at most"
        ),
    )
    if not any(line.still for line in made if line.name != control):
        yield (
            True,
            "in every real month some feature has drifted, so expected accuracy is not to be trusted",
        )


def fired_as_due(wanted: Sequence[Due], alerts: Iterable[Fired]) -> tuple[bool, str]:
    """Whether every alert that had to fire did, and in words which did not."""
    lacking = missing(wanted, alerts)
    count = len({one.subject for one in wanted})
    if not count:
        return True, "no drift was critical for so long that an alert had to fire"
    text = f"{count - len(lacking)} of {count} alerts that had to fire by the rows did"
    if lacking:
        text += f"; not {', nor '.join(str(one) for one in lacking)}"
    return not lacking, text


def month_table(made: Sequence[Line]) -> Table:
    """Accuracy and drift by month."""
    table = Table(
        "month", "rows", "expected", "right", "difference", "drifted (PSI > 0.1)",
        box=None, pad_edge=False,
    )  # fmt: skip
    for line in made:
        over = sorted(line.indices.items(), key=lambda pair: -pair[1])
        drifted = ", ".join(f"{name} {index:.2f}" for name, index in over if index > 0.1)
        table.add_row(
            line.name,
            f"{line.rows:,}",
            f"{line.expected:.1%}",
            f"{line.realised:.1%}",
            f"{100 * line.gap:+.1f}",
            drifted or "none",
        )
    return table


def alert_table(found: Findings, reasons: Mapping[Fired, Reason]) -> Table:
    """When alerts fired, and what the rows say."""
    table = Table("fired in", "alert", "about", "what the rows say", box=None, pad_edge=False)
    for alert, reason in reasons.items():
        mark = "" if reason.holds else "NOT EXPLAINED: "
        when = month_of(found, alert)
        table.add_row(when, alert.name, alert.subject or "the model", mark + reason.text)
    return table


def month_of(found: Findings, alert: Fired) -> str:
    """The month in which an alert began to fire."""
    for period in found.periods:
        if period.begin <= alert.begin < period.end:
            return period.name
    return "after"
