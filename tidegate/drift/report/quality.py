"""The quality of predictions: by period, by confidence and by segment, and the most confident errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.drift.report.labelled_rows import NO_SEGMENT, LabelledRows
from tidegate.drift.report.periods import Period, period_indices
from tidegate.monitoring.counting.expectation import Expectation

MIN_LABELS: Final = 30
"""Segments with fewer labels before or now are not compared."""
CALIBRATION_BINS: Final = 10
SIGNIFICANCE: Final = 0.01

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Quality:
    """The realised and the expected accuracy of a period.

    Attributes:
        period: in which the rows were answered.
        labels: the number of known labels.
        accuracy: fraction of correct predictions; None without labels.
        expected: expected accuracy, the mean of calibrated confidence; None without labels or calibration.
        brier: mean of (confidence - correct)²; None without labels or confidence.
    """

    period: Period
    labels: int
    accuracy: float | None
    expected: float | None
    brier: float | None

    @property
    def gap(self) -> float | None:
        """Expected minus realised accuracy."""
        if self.accuracy is None or self.expected is None:
            return None
        return self.expected - self.accuracy


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows of similar confidence: its mean, the fraction of correct predictions, and the number of labels."""

    confidence: float
    correct: float
    labels: int

    @property
    def margin(self) -> float:
        """Two standard errors of the fraction."""
        return 2.0 * math.sqrt(self.correct * (1 - self.correct) / self.labels)


@dataclass(frozen=True, slots=True)
class Segment:
    """A value of a feature for which accuracy is lower than before.

    Attributes:
        before: accuracy before the newest period.
        now: accuracy in the newest period.
        labels: the number of labels in the newest period.
        z: the drop in standard deviations.
        significant: whether the drop is significant, corrected for all compared segments.
    """

    feature: str
    value: str
    before: float
    now: float
    labels: int
    z: float
    significant: bool


@dataclass(frozen=True, slots=True)
class Example:
    """A wrong prediction of high confidence."""

    answered: float
    confidence: float
    predicted: str
    actual: str
    trace: str
    row: int
    segments: tuple[str, ...]


def quality_by_period(
    rows: LabelledRows, periods: Sequence[Period], expectation: Expectation | None
) -> list[Quality]:
    """The quality of each period."""
    indices = period_indices(periods, rows.answered)
    return [
        _quality(rows, indices == number, period, expectation)
        for number, period in enumerate(periods)
    ]


def overall_quality(rows: LabelledRows, period: Period, expectation: Expectation | None) -> Quality:
    """The quality of all rows together."""
    return _quality(rows, np.ones(len(rows), np.bool_), period, expectation)


def _quality(
    rows: LabelledRows, picked: Mask, period: Period, expectation: Expectation | None
) -> Quality:
    labels = int(picked.sum())
    if not labels:
        return Quality(period, 0, None, None, None)
    correct, confidence = rows.correct[picked], rows.confidence[picked]
    known = bool(np.isfinite(confidence).all())
    expected = expectation.sum(confidence) / labels if expectation is not None and known else None
    brier = float(((confidence - correct) ** 2).mean()) if known else None
    return Quality(period, labels, float(correct.mean()), expected, brier)


def calibration(rows: LabelledRows, bins: int = CALIBRATION_BINS) -> list[CalibrationBin]:
    """Rows sorted by confidence and split into bins of the same size."""
    known = np.flatnonzero(np.isfinite(rows.confidence))
    order = known[np.argsort(rows.confidence[known], kind="stable")]
    found: list[CalibrationBin] = []
    for part in np.array_split(order, bins):
        if len(part):
            mean = float(rows.confidence[part].mean())
            found.append(CalibrationBin(mean, float(rows.correct[part].mean()), len(part)))
    return found


def degraded_segments(rows: LabelledRows, newest: Period) -> list[Segment]:
    """Segments with a lower accuracy in the newest period than before it, by descending z.

    Each is a test of two proportions, z = (before - now) / √(p(1 - p)(1/n + 1/m)) with the pooled p;
    `significant` applies Bonferroni's correction.
    """
    now = period_indices([newest], rows.answered) == 0
    before = rows.answered < newest.begin
    found = list(_compared(rows, before, now))
    limit = NormalDist().inv_cdf(1 - SIGNIFICANCE / max(1, len(found)))
    degraded = [
        Segment(feature, value, earlier, newest_accuracy, labels, z, z > limit)
        for feature, value, earlier, newest_accuracy, labels, z in found
        if z > 0
    ]
    return sorted(degraded, key=lambda segment: -segment.z)


def _compared(
    rows: LabelledRows, before: Mask, now: Mask
) -> Iterator[tuple[str, str, float, float, int, float]]:
    correct = rows.correct
    for feature, values in rows.segments.items():
        for value in np.unique(values).tolist():
            of = values == value
            m, n = int((of & before).sum()), int((of & now).sum())
            if value == NO_SEGMENT or min(m, n) < MIN_LABELS:
                continue
            earlier, newest = float(correct[of & before].mean()), float(correct[of & now].mean())
            pooled = (earlier * m + newest * n) / (m + n)
            error = (pooled * (1 - pooled) * (1 / m + 1 / n)) ** 0.5
            yield feature, value, earlier, newest, n, (earlier - newest) / error if error else 0.0


def confident_errors(rows: LabelledRows, count: int) -> list[Example]:
    """The wrong predictions with the highest confidence."""
    wrong = np.flatnonzero(~rows.correct)
    order: npt.NDArray[Any] = wrong[np.argsort(-rows.confidence[wrong], kind="stable")][:count]
    return [
        Example(
            float(rows.answered[at]),
            float(rows.confidence[at]),
            str(rows.predicted[at]),
            str(rows.actual[at]),
            str(rows.trace[at]),
            int(rows.row[at]),
            tuple(str(values[at]) for values in rows.segments.values()),
        )
        for at in order.tolist()
    ]
