"""How often the model was right: by period, by confidence, by segment, and where it was sure and wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.drift.counting.confidence import Expectation
from tidegate.drift.report.labelled_rows import NO_SEGMENT, Labelled
from tidegate.drift.report.periods import Period, place

FEWEST: Final = 30
"""Labels below which a share says nothing."""
CALIBRATION_BINS: Final = 10
SIGNIFICANCE: Final = 0.01

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Quality:
    """How often labels were right in a period, and how often they were expected to be.

    Attributes:
        period: in which the rows were answered.
        labels: how many are known.
        accuracy: share of right ones; None without labels.
        expected: share expected to be right by calibrated confidence; None without labels or calibration.
        brier: mean of (confidence - right)²; None without labels.
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
class Bin:
    """Rows of about the same confidence: its mean, the share of right ones, and how many."""

    confidence: float
    correct: float
    labels: int

    @property
    def margin(self) -> float:
        """Two standard errors of the share."""
        return 2.0 * math.sqrt(self.correct * (1 - self.correct) / self.labels)


@dataclass(frozen=True, slots=True)
class Segment:
    """A value of a feature for which the model is right less often than before.

    Attributes:
        z: standard deviations of the fall.
        sure: whether it is more than chance, over all segments that were compared.
    """

    feature: str
    value: str
    before: float
    now: float
    labels: int
    z: float
    sure: bool


@dataclass(frozen=True, slots=True)
class Example:
    """A row whose label was wrong although the model was sure."""

    answered: float
    confidence: float
    predicted: str
    actual: str
    trace: str
    row: int
    segments: tuple[str, ...]


def by_period(
    rows: Labelled, periods: Sequence[Period], expectation: Expectation | None
) -> list[Quality]:
    """The quality of each period."""
    places = place(periods, rows.answered)
    return [
        _quality(rows, places == number, period, expectation)
        for number, period in enumerate(periods)
    ]


def overall(rows: Labelled, period: Period, expectation: Expectation | None) -> Quality:
    """The quality of all rows together."""
    return _quality(rows, np.ones(len(rows), np.bool_), period, expectation)


def _quality(
    rows: Labelled, picked: Mask, period: Period, expectation: Expectation | None
) -> Quality:
    labels = int(picked.sum())
    if not labels:
        return Quality(period, 0, None, None, None)
    correct, confidence = rows.correct[picked], rows.confidence[picked]
    expected = None if expectation is None else expectation.correct(confidence) / labels
    brier = float(((confidence - correct) ** 2).mean())
    return Quality(period, labels, float(correct.mean()), expected, brier)


def calibration(rows: Labelled, bins: int = CALIBRATION_BINS) -> list[Bin]:
    """Rows in the order of their confidence, cut into parts of the same size."""
    order = np.argsort(rows.confidence, kind="stable")
    found: list[Bin] = []
    for part in np.array_split(order, bins):
        if len(part):
            mean = float(rows.confidence[part].mean())
            found.append(Bin(mean, float(rows.correct[part].mean()), len(part)))
    return found


def segments_that_fell(rows: Labelled, newest: Period) -> list[Segment]:
    """Segments where accuracy in the newest period is below that of all before, the surest first.

    Each is a test of two shares, z = (before - now) / √(p(1 - p)(1/n + 1/m)) with p of both together;
    `sure` asks of it what Bonferroni's correction does.
    """
    now = place([newest], rows.answered) == 0
    before = rows.answered < newest.begin
    found = list(_compared(rows, before, now))
    limit = NormalDist().inv_cdf(1 - SIGNIFICANCE / max(1, len(found)))
    fell = [
        Segment(feature, value, was, is_now, labels, z, z > limit)
        for feature, value, was, is_now, labels, z in found
        if z > 0
    ]
    return sorted(fell, key=lambda segment: -segment.z)


def _compared(
    rows: Labelled, before: Mask, now: Mask
) -> Iterator[tuple[str, str, float, float, int, float]]:
    correct = rows.correct
    for feature, values in rows.segments.items():
        for value in np.unique(values).tolist():
            of = values == value
            m, n = int((of & before).sum()), int((of & now).sum())
            if value == NO_SEGMENT or min(m, n) < FEWEST:
                continue
            was, is_now = float(correct[of & before].mean()), float(correct[of & now].mean())
            both = (was * m + is_now * n) / (m + n)
            spread = (both * (1 - both) * (1 / m + 1 / n)) ** 0.5
            yield feature, value, was, is_now, n, (was - is_now) / spread if spread else 0.0


def worst(rows: Labelled, count: int) -> list[Example]:
    """The wrong rows that the model was surest of."""
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
