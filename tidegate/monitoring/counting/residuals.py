"""The errors of a regressor on held-out rows: their size, a calibrated interval, and the expected error.

The interval is that of split conformal prediction (Papadopoulos et al., 2002; Lei, G'Sell, Rinaldo,
Tibshirani and Wasserman, Journal of the American Statistical Association 113, 2018, algorithm 2): predicted ±
the ⌈(n + 1)·coverage⌉-th smallest absolute error of n held-out rows. It contains the true value of a further
row of the same distribution with at least that probability, whatever the model and the distribution.

The expected absolute error as a function of the predicted value need not be monotone, so it is not an
isotonic curve as that of a classifier's confidence is. It is the mean absolute error in bins of equal numbers
of rows, each shrunk towards the mean of all by the credibility estimator of Bühlmann and Straub (ASTIN
Bulletin 5, 1970): if the bins' means differ by no more than chance, all have the same value.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.reference import MAX_VALUE, BadReferenceError, Residuals

COVERAGE: Final = 0.9
"""Nominal coverage of the interval."""
MIN_ROWS: Final = 10
"""Fewer held-out rows have no interval with a coverage of 90 %: ⌈(n + 1)·0.9⌉ ≤ n needs 9."""
_MAX_BINS: Final = 20
_BIN_ROWS: Final = 30
_FOLDS: Final = 5

Numbers = npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]]
_Floats = npt.NDArray[np.float64]


def calibrate_residuals(predicted: Numbers, truth: Numbers) -> Residuals:
    """The residuals of held-out rows, from their predicted and true values.

    Raises:
        BadReferenceError: there are fewer than `MIN_ROWS` rows, or a value is not finite or is beyond
            ±`MAX_VALUE`.
    """
    values, errors = _errors(predicted, truth)
    curve = _expected(values, errors)
    return Residuals(
        mean_absolute_error=float(errors.mean()),
        root_mean_squared_error=float(np.sqrt(np.square(errors).mean())),
        deviation=float(errors.std()),
        half_width=half_width(errors, COVERAGE),
        coverage=COVERAGE,
        held_out_coverage=_held_out_coverage(errors),
        predicted=tuple(curve[0].tolist()),
        expected=tuple(curve[1].tolist()),
        samples=len(errors),
    )


def half_width(errors: _Floats, coverage: float) -> float:
    """The ⌈(n + 1)·coverage⌉-th smallest of n absolute errors; the largest if there are too few."""
    rank = math.ceil((len(errors) + 1) * coverage)
    return float(np.sort(errors)[min(rank, len(errors)) - 1])


def _errors(predicted: Numbers, truth: Numbers) -> tuple[_Floats, _Floats]:
    """The predicted values and the absolute errors, checked."""
    values = np.asarray(predicted, np.float64).ravel()
    true = np.asarray(truth, np.float64).ravel()
    if len(values) != len(true):
        raise BadReferenceError(
            f"there are {len(values)} predicted values and {len(true)} true ones"
        )
    if len(values) < MIN_ROWS:
        raise BadReferenceError(
            f"there are {len(values)} held-out rows; the errors of a regressor need at least {MIN_ROWS}"
        )
    for what, numbers in (("predicted", values), ("true", true)):
        if not (np.abs(numbers) <= MAX_VALUE).all():  # nor is NaN
            raise BadReferenceError(
                f"a {what} value of the held-out rows is not a number between ±{MAX_VALUE:g}"
            )
    return values, np.abs(values - true)


def _held_out_coverage(errors: _Floats) -> float:
    """The coverage by cross-validation: on the rows that calibrate it, an interval always covers enough."""
    shuffled = np.random.default_rng(0).permutation(errors)  # rows may be sorted
    folds = [shuffled[first::_FOLDS] for first in range(_FOLDS)]
    inside = 0
    for number, fold in enumerate(folds):
        others = np.concatenate(folds[:number] + folds[number + 1 :])
        inside += int((fold <= half_width(others, COVERAGE)).sum())
    return inside / len(errors)


def _expected(values: _Floats, errors: _Floats) -> tuple[_Floats, _Floats]:
    """The points of the curve: the mean predicted value and the shrunk mean error of each bin."""
    wanted = max(1, min(_MAX_BINS, len(values) // _BIN_ROWS))
    inner = np.unique(np.quantile(values, np.linspace(0, 1, wanted + 1)[1:-1], method="lower"))
    _, bins = np.unique(np.searchsorted(inner, values, side="right"), return_inverse=True)
    rows = np.bincount(bins)
    means = np.bincount(bins, errors) / rows
    shrunk = _credible_means(errors, bins, rows, means)
    return np.bincount(bins, values) / rows, shrunk


def _credible_means(
    errors: _Floats, bins: npt.NDArray[np.intp], rows: npt.NDArray[np.intp], means: _Floats
) -> _Floats:
    """Z·(mean of the bin) + (1 - Z)·(mean of all), with Z = n / (n + s²/a).

    s² is the variance within bins, and a the variance between the bins' true means.
    """
    total, count, mean = len(errors), len(rows), errors.mean()
    if count == 1:
        return means
    within = np.square(errors - means[bins]).sum() / (total - count)
    spread = (rows * np.square(means - mean)).sum() - (count - 1) * within
    between = spread / (total - np.square(rows).sum() / total)
    if between <= 0:
        return np.full(count, mean)
    weight = rows / (rows + within / between)
    shrunk: _Floats = weight * means + (1 - weight) * mean
    return shrunk
