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
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.predictions import Classification


def build_reference(
    features: Sequence[Feature],
    matrix: Matrix,
    calibration: Calibration | None = None,
    predictions: Sequence[int] = (),
    *,
    values: npt.NDArray[np.floating[Any]] | None = None,
    residuals: Residuals | None = None,
) -> Reference:
    """Compute bins from the training rows, and the counts of the rows in them.

    Args:
        features: the features, in the order of the matrix.
        matrix: the training rows.
        calibration: the calibration of the predicted probability.
        predictions: the number of rows predicted as each class.
        values: the values that a regressor predicts, of held-out rows if there are any, else of training
            rows; of shape [rows].
        residuals: the errors of a regressor on held-out rows, from `calibrate_residuals`.
    """
    return Reference(
        samples=len(matrix),
        features=tuple(_bins(*pair) for pair in zip(features, matrix.T, strict=True)),
        calibration=calibration,
        predictions=tuple(predictions),
        prediction=None if values is None or not len(values) else predicted_value_bins(values),
        residuals=residuals,
    )


def no_rows(features: Sequence[Feature]) -> Reference:
    """The reference of a model without rows of training, with which drift is not computed."""
    return build_reference(features, np.empty((0, len(features)), np.float32))


def calibrate(prediction: Classification, truth: npt.NDArray[np.intp]) -> Calibration:
    """The accuracy of a label given its probability: isotonic regression on held-out rows.

    Args:
        prediction: the predictions of the rows.
        truth: the index of each row's true class.
    """
    return calibrate_confidence(prediction.confidence, prediction.labels == truth)


def calibrate_confidence(
    confidence: npt.NDArray[np.floating[Any]], correct: npt.NDArray[np.bool_]
) -> Calibration:
    """The fraction of correct predictions as a function of confidence, by isotonic regression.

    Args:
        confidence: the probability of each predicted label, of shape [rows].
        correct: whether it is the true label, of shape [rows].
    """
    # A predictor in Python takes bins from here, and should not have to wait for scikit-learn.
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415

    curve: Any = IsotonicRegression(out_of_bounds="clip")
    curve.fit(confidence.astype(np.float64), correct.astype(np.float64))
    return Calibration(
        confidence=tuple(curve.X_thresholds_.tolist()),
        correct=tuple(curve.y_thresholds_.tolist()),
        samples=len(correct),
    )


def _bins(feature: Feature, column: npt.NDArray[np.float32]) -> FeatureReference:
    if feature.kind != "category":
        return number_bins(feature.name, column, kind=feature.kind)
    texts = [None if np.isnan(code) else feature.categories[int(code)] for code in column]
    return category_bins(feature.name, texts, also=feature.categories)
