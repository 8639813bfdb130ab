"""The errors of a regressor: by period, by predicted value and by segment, and the largest ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from tidegate.drift.report.labelled_rows import NO_SEGMENT
from tidegate.drift.report.labelled_values import Floats, LabelledValues
from tidegate.drift.report.periods import Period, period_indices
from tidegate.drift.report.quality import MIN_LABELS, SIGNIFICANCE
from tidegate.monitoring.counting.expectation import Expectation
from tidegate.monitoring.counting.reference import Residuals

VALUE_BINS: Final = 10

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ErrorQuality:
    """The errors of a period, in the unit of the target; None without labels.

    Attributes:
        period: in which the rows were answered.
        labels: the number of known actual values.
        error: mean absolute error.
        deviation: standard deviation of the absolute error.
        rmse: root mean squared error.
        bias: mean of actual minus predicted value.
        coverage: fraction of actual values inside the predicted interval; None without intervals.
        expected: expected mean absolute error, by the predicted values; None without held-out errors.
    """

    period: Period
    labels: int
    error: float | None = None
    deviation: float | None = None
    rmse: float | None = None
    bias: float | None = None
    coverage: float | None = None
    expected: float | None = None

    @property
    def margin(self) -> float:
        """Two standard errors of the mean absolute error; NaN without labels."""
        return (
            2 * self.deviation / math.sqrt(self.labels) if self.deviation is not None else math.nan
        )

    def rise(self, held_out: Residuals) -> float | None:
        """The mean absolute error relative to that on held-out rows, minus 1."""
        if self.error is None or not held_out.mean_absolute_error:
            return None
        return self.error / held_out.mean_absolute_error - 1

    def z(self, held_out: Residuals) -> float | None:
        """The same difference in standard deviations, as the rule `model:absolute_error_z` computes it."""
        if self.error is None or self.deviation is None:
            return None
        spread = max(self.deviation, held_out.deviation)
        spread *= math.sqrt(1 / self.labels + 1 / max(1, held_out.samples))
        return (self.error - held_out.mean_absolute_error) / spread if spread else None


@dataclass(frozen=True, slots=True)
class ValueBin:
    """Rows with similar predicted values.

    Attributes:
        predicted: the mean predicted value.
        low: the 5th percentile of actual minus predicted value.
        mean: its mean.
        high: its 95th percentile.
        margin: two standard errors of the mean.
        labels: the number of rows.
    """

    predicted: float
    low: float
    mean: float
    high: float
    margin: float
    labels: int


@dataclass(frozen=True, slots=True)
class ErrorSegment:
    """A value of a feature, with its mean absolute error in the newest period and before.

    Attributes:
        labels: the number of labels in the newest period.
        z: the rise in standard deviations.
        significant: whether the rise is significant, corrected for all compared segments.
    """

    feature: str
    value: str
    before: float
    now: float
    labels: int
    z: float
    significant: bool


@dataclass(frozen=True, slots=True)
class LargeError:
    """A prediction far from the actual value; `inside` is None without an interval."""

    answered: float
    predicted: float
    actual: float
    inside: bool | None
    trace: str
    row: int
    segments: tuple[str, ...]

    @property
    def residual(self) -> float:
        """Actual minus predicted value."""
        return self.actual - self.predicted


def errors_by_period(
    rows: LabelledValues, periods: Sequence[Period], expectation: Expectation | None
) -> list[ErrorQuality]:
    """The errors of each period."""
    indices = period_indices(periods, rows.answered)
    return [
        _errors(rows, indices == number, period, expectation)
        for number, period in enumerate(periods)
    ]


def overall_errors(
    rows: LabelledValues, period: Period, expectation: Expectation | None
) -> ErrorQuality:
    """The errors of all rows together."""
    return _errors(rows, np.ones(len(rows), np.bool_), period, expectation)


def _errors(
    rows: LabelledValues, picked: Mask, period: Period, expectation: Expectation | None
) -> ErrorQuality:
    labels = int(picked.sum())
    if not labels:
        return ErrorQuality(period, 0)
    residuals, predicted = rows.residuals[picked], rows.predicted[picked]
    absolute = np.abs(residuals)
    inside = rows.inside[picked]
    known = inside[np.isfinite(inside)]
    return ErrorQuality(
        period,
        labels,
        error=float(absolute.mean()),
        deviation=float(absolute.std()),
        rmse=float(np.sqrt(np.square(residuals).mean())),
        bias=float(residuals.mean()),
        coverage=float(known.mean()) if len(known) else None,
        expected=None if expectation is None else expectation.sum(predicted) / labels,
    )


def by_predicted_value(rows: LabelledValues, bins: int = VALUE_BINS) -> list[ValueBin]:
    """Rows sorted by predicted value and split into bins of the same size."""
    order = np.argsort(rows.predicted, kind="stable")
    residuals = rows.residuals
    found: list[ValueBin] = []
    for part in np.array_split(order, bins):
        if len(part):
            low, high = np.quantile(residuals[part], (0.05, 0.95)).tolist()
            margin = 2 * float(residuals[part].std()) / math.sqrt(len(part))
            mean = float(residuals[part].mean())
            predicted = float(rows.predicted[part].mean())
            found.append(ValueBin(predicted, low, mean, high, margin, len(part)))
    return found


def segments_by_error(rows: LabelledValues, newest: Period) -> list[ErrorSegment]:
    """Segments with a larger error in the newest period than before it, by descending z.

    Each is a test of two means with unequal variances (Welch, 1947); `significant` applies Bonferroni's
    correction.
    """
    now = period_indices([newest], rows.answered) == 0
    before = rows.answered < newest.begin
    found = list(_compared(rows, before, now))
    limit = NormalDist().inv_cdf(1 - SIGNIFICANCE / max(1, len(found)))
    larger = [
        ErrorSegment(feature, value, *errors, labels, z, z > limit)
        for feature, value, errors, labels, z in found
        if z > 0
    ]
    return sorted(larger, key=lambda segment: -segment.z)


def _compared(
    rows: LabelledValues, before: Mask, now: Mask
) -> Iterator[tuple[str, str, tuple[float, float], int, float]]:
    absolute: Floats = np.abs(rows.residuals)
    for feature, values in rows.segments.items():
        for value in np.unique(values).tolist():
            of = values == value
            earlier, newest = absolute[of & before], absolute[of & now]
            if value == NO_SEGMENT or min(len(earlier), len(newest)) < MIN_LABELS:
                continue
            error = math.sqrt(earlier.var() / len(earlier) + newest.var() / len(newest))
            means = float(earlier.mean()), float(newest.mean())
            z = (means[1] - means[0]) / error if error else 0.0
            yield feature, value, means, len(newest), z


def largest_errors(rows: LabelledValues, count: int) -> list[LargeError]:
    """The predictions that are furthest from the actual value."""
    order = np.argsort(-np.abs(rows.residuals), kind="stable")[:count]
    return [
        LargeError(
            float(rows.answered[at]),
            float(rows.predicted[at]),
            float(rows.actual[at]),
            bool(rows.inside[at]) if math.isfinite(rows.inside[at]) else None,
            str(rows.trace[at]),
            int(rows.row[at]),
            tuple(str(values[at]) for values in rows.segments.values()),
        )
        for at in order.tolist()
    ]
