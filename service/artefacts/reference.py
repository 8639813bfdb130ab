"""The drift reference: the distribution of each feature in training, as bins.

The bins of a number, and of the values that a regressor predicts, lie between deciles
(tidegate/monitoring/counting/number_bins.py). The bins of a category are its most frequent values, one for
the others and one for missing values (tidegate/monitoring/counting/category_bins.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.category_bins import category_bins
from tidegate.monitoring.counting.number_bins import number_bins, predicted_value_bins
from tidegate.monitoring.counting.reference import (
    Calibration,
    FeatureReference,
    Reference,
    Residuals,
)
from tidegate.service.model.features import Feature, Matrix, category_names
from tidegate.service.model.predictions import Classification, Prediction


def build_reference(
    features: Sequence[Feature],
    matrix: Matrix,
    prediction: Prediction | None = None,
    *,
    calibration: Calibration | None = None,
    residuals: Residuals | None = None,
) -> Reference:
    """Compute bins from the training rows, and the counts of the rows in them.

    The prediction is that of a classifier or a regressor for held-out rows, or else for training rows.
    """
    found: dict[str, Any] = {}
    if isinstance(prediction, Classification):
        counts = np.bincount(prediction.labels, minlength=prediction.probabilities.shape[1])
        found["predictions"] = tuple(counts.tolist())
    elif isinstance(prediction, np.ndarray) and len(prediction):
        found["prediction"] = predicted_value_bins(prediction)
    return Reference(
        samples=len(matrix),
        features=tuple(_bins(*pair) for pair in zip(features, matrix.T, strict=True)),
        calibration=calibration,
        residuals=residuals,
        **found,
    )


def observed(features: Sequence[Feature], matrix: npt.NDArray[Any]) -> tuple[Feature, ...]:
    """The features with their ranges in the rows of a matrix."""
    return tuple(_observed(*pair) for pair in zip(features, matrix.T, strict=True))


def _observed(feature: Feature, column: npt.NDArray[Any]) -> Feature:
    known = column[np.isfinite(column)]
    if feature.is_string or not known.size:
        return feature
    # The shortest decimal form: 12.65858, not 12.658579826354980.
    ends = (float(str(known.min())), float(str(known.max())))
    return feature.model_copy(update={"observed": ends})


def no_rows(features: Sequence[Feature]) -> Reference:
    """The reference of a model without rows of training, with which drift is not computed."""
    return build_reference(features, np.empty((0, len(features)), np.float32))


def calibrate(prediction: Classification, truth: npt.NDArray[np.intp]) -> Calibration:
    """The accuracy of a label given its probability, by the index of each held-out row's true class."""
    return calibrate_confidence(prediction.confidence, prediction.labels == truth)


def calibrate_confidence(
    confidence: npt.NDArray[np.floating[Any]], correct: npt.NDArray[np.bool_]
) -> Calibration:
    """The fraction of correct predictions as a function of confidence, by isotonic regression over rows."""
    # A predictor in Python takes bins from here, and should not have to wait for scikit-learn.
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415

    curve: Any = IsotonicRegression(out_of_bounds="clip")
    curve.fit(confidence.astype(np.float64), correct.astype(np.float64))
    return Calibration(
        confidence=tuple(curve.X_thresholds_.tolist()),
        correct=tuple(curve.y_thresholds_.tolist()),
        samples=len(correct),
    )


def _bins(feature: Feature, column: npt.NDArray[np.floating[Any]]) -> FeatureReference:
    if feature.kind != "category":  # of a text, its number of characters
        kind = "number" if feature.kind == "number" else "integer"
        return number_bins(feature.name, column, kind=kind)
    return category_bins(feature.name, category_names(feature, column), also=feature.categories)
