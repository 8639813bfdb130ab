"""The reference: the distributions of features and predictions and the calibration at training."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import inf, nextafter
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

_MAX_SINGLE: Final = 2
"""More values than this are interpolated by numpy."""
UNDER: Final = "under"
OVER: Final = "over"
MISSING: Final = "missing"
OTHER: Final = "other"
_MAX_DIGITS: Final = 17
MAX_VALUE: Final = 1e100
"""The largest number that a regressor's errors are computed of: squares of larger ones could overflow."""
Counts = npt.NDArray[np.int64]


class Expectation:
    """What a calibrated curve expects of predictions, before the labels are known.

    For a classifier it is the number of correct predictions, by confidence; for a regressor the sum of
    absolute errors, by predicted value. The curve is linear between its points, over ascending scores, and
    constant beyond them. It does not detect concept drift: it assumes that the labels still depend on the
    features as at training. So trust it only where no feature has drifted.
    """

    def __init__(self, points: Sequence[float], expected: Sequence[float]) -> None:
        self._points = list(points)
        self._expected = list(expected)

    def sum(self, scores: npt.NDArray[np.floating[Any]]) -> float:
        """The sum of what is expected at each score; a score that is NaN adds nothing."""
        if len(scores) > _MAX_SINGLE:
            expected = np.interp(scores, self._points, self._expected)
            total = float(expected.sum())
            return total if total == total else float(np.nansum(expected))  # noqa: PLR0124 (NaN)
        return sum(map(self._one, scores.tolist()))

    def _one(self, score: float) -> float:
        # np.interp costs 4 µs for a single value, this 0.4 µs.
        xs, ys = self._points, self._expected
        right = bisect_right(xs, score)
        if right == 0:
            return ys[0]
        if right == len(xs):
            return ys[-1] if score == score else 0.0  # noqa: PLR0124 (only NaN differs from itself)
        left = right - 1
        share = (score - xs[left]) / (xs[right] - xs[left])
        return ys[left] + share * (ys[right] - ys[left])


class BadReferenceError(ValueError):
    """A reference that cannot be read or does not match its model."""


class FeatureReference(BaseModel):
    """The bins of one feature."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str
    edges: tuple[float, ...] = ()
    """The edges of a number's bins: edge ≤ value < next edge; the last bin includes its upper edge."""
    bins: tuple[str, ...]
    """The bins' names, in the order of `counts`."""
    counts: tuple[int, ...]
    """Training rows in each bin."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Unique names of the bins: a category may itself be called `other` or `missing`."""
        if self.kind != "category":
            return self.bins
        *categories, other, missing = self.bins
        return (
            *(f"={name}" if name in {other, missing} else name for name in categories),
            other,
            missing,
        )

    @property
    def ranges(self) -> tuple[str, ...]:
        """The bins for a person: the range of a number, as `3.5 to 4`, or the value that many rows share.

        Recorded series have `labels`: they must be the same before and after an upgrade.
        """
        return (UNDER, *_ranges(self.edges), OVER, MISSING) if self.edges else self.labels


class Calibration(BaseModel):
    """The fraction of correct predictions by confidence, interpolated linearly between these points."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    confidence: tuple[float, ...]
    correct: tuple[float, ...]
    samples: int
    """The number of held-out rows that it was computed from."""


class Residuals(BaseModel):
    """The errors of a regressor on held-out rows, in the unit of its target."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean_absolute_error: float = Field(ge=0)
    """Mean of |true - predicted|."""
    root_mean_squared_error: float = Field(ge=0)
    """√ of the mean of (true - predicted)²."""
    deviation: float = Field(ge=0)
    """Standard deviation of |true - predicted|."""
    half_width: float = Field(ge=0)
    """Half the width of the calibrated interval, predicted ± half_width."""
    coverage: float = Field(gt=0, lt=1)
    """Nominal coverage: the probability that the interval contains the true value."""
    held_out_coverage: float = Field(ge=0, le=1)
    """Fraction of held-out rows inside an interval that was calibrated on other held-out rows."""
    predicted: tuple[float, ...]
    """Predicted values, ascending; `expected` is interpolated linearly between them."""
    expected: tuple[float, ...]
    """The expected absolute error at each of `predicted`."""
    samples: int
    """The number of held-out rows."""

    @model_validator(mode="after")
    def _is_a_curve(self) -> Residuals:
        if not self.predicted or len(self.predicted) != len(self.expected):
            raise ValueError("`predicted` and `expected` should have the same number of points")
        return self


class Reference(BaseModel):
    """The content of `reference.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    samples: int
    """The number of training rows that were counted."""
    features: tuple[FeatureReference, ...]
    calibration: Calibration | None = None
    predictions: tuple[int, ...] = ()
    """The number of rows predicted as each class, in the order of the classes. The rows are held-out rows if
    there are any, else training rows."""
    prediction: FeatureReference | None = None
    """The bins of the values that a regressor predicts for the same rows; or, of kind category, the labels
    that a model in an application of the user's own predicts."""
    residuals: Residuals | None = None
    """The errors of a regressor, if held-out rows with true values were given."""
    accuracy: float | None = Field(default=None, ge=0, le=1)
    """The accuracy of such a model on held-out rows. An artefact has it in its manifest."""

    @property
    def expectation(self) -> Expectation | None:
        """The expected error by predicted value, or correctness by confidence; None if not measured."""
        if (errors := self.residuals) is not None:
            return Expectation(errors.predicted, errors.expected)
        curve = self.calibration
        return None if curve is None else Expectation(curve.confidence, curve.correct)


def load_reference(file: Path) -> Reference:
    """Read a `reference.json`.

    Raises:
        BadReferenceError: the file is missing or invalid.
    """
    try:
        return Reference.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadReferenceError(f"{file} cannot be read: {error}") from error


def bin_starts(edges: Sequence[float]) -> list[float]:
    """Where each bin of a number begins, but for `under`: how many are not above a value is its bin.

    Without edges, as training had missing values only, any value is over.
    """
    if not edges:
        return [-inf]
    *lower, last = edges
    return [*lower, nextafter(last, inf)]  # the last bin includes its upper edge


def count_numbers(edges: Sequence[float], values: npt.NDArray[np.floating[Any]]) -> Counts:
    """The number of values under the edges, in each bin, over the edges, and missing."""
    missing, starts = np.isnan(values), bin_starts(edges)
    bins = np.searchsorted(starts, values[~missing].astype(np.float64), side="right")
    return np.append(np.bincount(bins, minlength=len(starts) + 1), missing.sum())


def _ranges(edges: Sequence[float]) -> list[str]:
    """The names of the bins between edges, with as many digits as tell the edges apart, but at least 3."""
    # The bin of a value that many rows share ends at the next float, which is written as the value.
    of = dict.fromkeys(edges)
    for low, high in pairwise(edges):
        of[high] = low if high == nextafter(low, inf) else None
    shown = [edge if of[edge] is None else of[edge] for edge in edges]
    digits = next(
        (count for count in range(3, _MAX_DIGITS) if _distinct(shown, count)), _MAX_DIGITS
    )
    texts = [f"{edge:.{digits}g}" for edge in shown]
    return [low if low == high else f"{low} to {high}" for low, high in pairwise(texts)]


def _distinct(numbers: Sequence[float | None], digits: int) -> bool:
    return len({f"{number:.{digits}g}" for number in numbers}) == len(set(numbers))
