"""The model that a report is about, and its task: how predictions with a known label are measured.

Everything else of a report asks the task: for the measure of each row and of a period, the test of a segment
and the rows to show. A further task is a further `Task` here, its words in `wording` and its plot in `plots`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.expectation import Expectation
from tidegate.monitoring.counting.reference import Reference, Residuals
from tidegate.monitoring.report.labelled_rows import Floats, LabelledRows
from tidegate.monitoring.report.periods import Quality
from tidegate.settings import Drift


@dataclass(frozen=True, slots=True)
class Task:
    """What a kind of model predicts. A row's measure is whether it is correct, or how large its error is.

    Attributes:
        numbers: whether it predicts numbers, so that their distribution is compared with that at training.
        larger_is_worse: whether a larger measure is a worse one.
        measure: the measure of each row.
        score: what the expected measure of a row is a function of; NaN if unknown.
        detail: what is drawn of each row by its score.
        further: further measures of some rows, by name; NaN if unknown.
        variance: the variance of the difference of the means of two samples.
        worst: the indices of the worst predictions, the worst one first.
        held_out: the measure on held-out rows; None if unknown.
        worsening: by how much a period is worse than held-out rows, in the unit of `limits`; 0 or less if it
            is not, or if the period has too few labels.
        limits: the worsening that is a warning, and the one that is critical.
    """

    numbers: bool
    larger_is_worse: bool
    measure: Callable[[LabelledRows], Floats]
    score: Callable[[LabelledRows], Floats]
    detail: Callable[[LabelledRows], Floats]
    further: Mapping[str, Callable[[LabelledRows], float]]
    variance: Callable[[Floats, Floats], float]
    worst: Callable[[LabelledRows], npt.NDArray[np.intp]]
    held_out: Callable[[Model], float | None]
    worsening: Callable[[Quality, Model, Drift], float]
    limits: Callable[[Drift], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Model:
    """The model that a report is about.

    Attributes:
        name: its name.
        version: its version.
        labels: its classes, in order.
        accuracy: on held-out rows; None if it was not measured.
        reference: the distributions at training.
        unit: the unit of a regressor's values; empty if unknown.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    accuracy: float | None
    reference: Reference
    unit: str = ""

    @property
    def task(self) -> Task:
        """What it predicts."""
        bins = self.reference.prediction
        values = self.reference.residuals is not None or (
            bins is not None and bins.kind == "number"
        )
        return REGRESSION if values else CLASSIFICATION

    @property
    def expectation(self) -> Expectation | None:
        """The expected measure of a row as a function of its score."""
        if self.reference.residuals is not None:
            return Expectation.of_values(self.reference.residuals)
        curve = self.reference.calibration
        return None if curve is None else Expectation.of_confidence(curve)


def correct(rows: LabelledRows) -> Floats:
    """1 for a correct label, else 0."""
    same: Floats = (rows.predicted == rows.actual).astype(np.float64)
    return same


def _brier(rows: LabelledRows) -> float:
    """Mean of (confidence - correct)²."""
    return float(((rows.confidence - correct(rows)) ** 2).mean())


def _pooled_variance(earlier: Floats, newest: Floats) -> float:
    """That of a test of two proportions, p(1 - p)(1/n + 1/m) with the pooled p."""
    pooled = float(np.concatenate([earlier, newest]).mean())
    return pooled * (1 - pooled) * (1 / len(earlier) + 1 / len(newest))


def _confident_errors(rows: LabelledRows) -> npt.NDArray[np.intp]:
    wrong = np.flatnonzero(rows.predicted != rows.actual)
    order: npt.NDArray[np.intp] = wrong[np.argsort(-rows.confidence[wrong], kind="stable")]
    return order


def _accuracy_drop(quality: Quality, model: Model, drift: Drift) -> float:
    if quality.realised is None or model.accuracy is None or quality.labels < drift.outcomes:
        return 0.0
    return model.accuracy - quality.realised


CLASSIFICATION: Final = Task(
    numbers=False,
    larger_is_worse=False,
    measure=correct,
    score=lambda rows: rows.confidence,
    detail=correct,
    further={"brier": _brier},
    variance=_pooled_variance,
    worst=_confident_errors,
    held_out=lambda model: model.accuracy,
    worsening=_accuracy_drop,
    limits=lambda drift: (drift.accuracy_drop_warning, drift.accuracy_drop_critical),
)
"""Labels: the mean measure is the accuracy."""


def residuals(rows: LabelledRows) -> Floats:
    """Actual minus predicted values."""
    found: Floats = rows.actual - rows.predicted
    return found


def _coverage(rows: LabelledRows) -> float:
    """The fraction of actual values inside the predicted interval; NaN without intervals."""
    known = rows.inside[np.isfinite(rows.inside)]
    return float(known.mean()) if len(known) else math.nan


def _separate_variances(earlier: Floats, newest: Floats) -> float:
    """That of two means with unequal variances (Welch, 1947)."""
    return float(earlier.var() / len(earlier) + newest.var() / len(newest))


def rise(quality: Quality, held_out: Residuals) -> float | None:
    """The mean absolute error relative to that on held-out rows, minus 1."""
    if quality.realised is None or not held_out.mean_absolute_error:
        return None
    return quality.realised / held_out.mean_absolute_error - 1


def rise_z(quality: Quality, held_out: Residuals) -> float | None:
    """The same difference in standard deviations, as the rule `model:absolute_error_z` computes it."""
    if quality.realised is None or quality.deviation is None:
        return None
    spread = max(quality.deviation, held_out.deviation)
    spread *= math.sqrt(1 / quality.labels + 1 / max(1, held_out.samples))
    return (quality.realised - held_out.mean_absolute_error) / spread if spread else None


def _significant_rise(quality: Quality, model: Model, drift: Drift) -> float:
    """The conditions are those of the alerts: enough labels, and z above `drift.error_z`."""
    held_out = model.reference.residuals
    if held_out is None or quality.labels < drift.outcomes:
        return 0.0
    z = rise_z(quality, held_out)
    return (rise(quality, held_out) or 0.0) if z is not None and z > drift.error_z else 0.0


def _held_out_error(model: Model) -> float | None:
    held_out = model.reference.residuals
    return None if held_out is None else held_out.mean_absolute_error


REGRESSION: Final = Task(
    numbers=True,
    larger_is_worse=True,
    measure=lambda rows: np.abs(residuals(rows)),
    score=lambda rows: rows.predicted,
    detail=residuals,
    further={
        "rmse": lambda rows: float(np.sqrt(np.square(residuals(rows)).mean())),
        "bias": lambda rows: float(residuals(rows).mean()),
        "coverage": _coverage,
    },
    variance=_separate_variances,
    worst=lambda rows: np.argsort(-np.abs(residuals(rows)), kind="stable"),
    held_out=_held_out_error,
    worsening=_significant_rise,
    limits=lambda drift: (drift.error_rise_warning, drift.error_rise_critical),
)
"""Numbers: the mean measure is the mean absolute error."""
