"""The drift reference: the distribution of each feature in training, as bins.

The bins of a number lie between the deciles of its training values, with one below, one above and one for
missing values. A value that many rows share (zero rain) has a bin of its own. The bins of a category are its
most frequent values, one for the others and one for missing values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from tidegate.monitoring.counting.reference import (
    MISSING,
    OTHER,
    OVER,
    UNDER,
    Calibration,
    FeatureReference,
    Reference,
    count_numbers,
)
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.predictor import Prediction

MOST_FREQUENT: Final = 20


def build_reference(
    features: Sequence[Feature],
    matrix: Matrix,
    calibration: Calibration | None = None,
    predictions: Sequence[int] = (),
) -> Reference:
    """Compute bins from the training rows, and the counts of the rows in them.

    Args:
        features: the features, in the order of the matrix.
        matrix: the training rows.
        calibration: the calibration of the predicted probability.
        predictions: the number of rows predicted as each class.
    """
    return Reference(
        samples=len(matrix),
        features=tuple(_reference(*pair) for pair in zip(features, matrix.T, strict=True)),
        calibration=calibration,
        predictions=tuple(predictions),
    )


def calibrate(prediction: Prediction, truth: npt.NDArray[np.intp]) -> Calibration:
    """The accuracy of a label given its probability: isotonic regression on held-out rows.

    Args:
        prediction: the predictions of the rows.
        truth: the index of each row's true class.
    """
    curve: Any = IsotonicRegression(out_of_bounds="clip")
    correct = (prediction.labels == truth).astype(np.float64)
    curve.fit(prediction.confidence.astype(np.float64), correct)
    return Calibration(
        confidence=tuple(curve.X_thresholds_.tolist()),
        correct=tuple(curve.y_thresholds_.tolist()),
        samples=len(truth),
    )


def edges_of(values: npt.NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """Bin edges at the deciles of finite values; a value of two deciles or more gets its own bin."""
    if not values.size:
        return ()
    deciles = np.quantile(values, np.linspace(0, 1, 11), method="lower").astype(np.float64)
    edges, times = np.unique(deciles, return_counts=True)
    shared = np.nextafter(edges[times > 1], np.inf)
    return tuple(np.unique(np.concatenate([edges, shared])).tolist())


def _reference(feature: Feature, column: npt.NDArray[np.float32]) -> FeatureReference:
    if feature.kind == "category":
        return _category_reference(feature, column)
    edges = edges_of(column[~np.isnan(column)])
    counts = count_numbers(edges, column)
    names = (UNDER, *(str(i) for i in range(max(0, len(edges) - 1))), OVER, MISSING)
    return FeatureReference(
        name=feature.name,
        kind=feature.kind,
        edges=edges,
        bins=names,
        counts=tuple(counts.tolist()),
    )


def _category_reference(feature: Feature, column: npt.NDArray[np.float32]) -> FeatureReference:
    missing = np.isnan(column)
    counts = np.bincount(column[~missing].astype(np.intp), minlength=len(feature.categories))
    most_frequent = np.sort(np.argsort(-counts, kind="stable")[:MOST_FREQUENT])
    included = counts[most_frequent]
    return FeatureReference(
        name=feature.name,
        kind=feature.kind,
        bins=(*(feature.categories[i] for i in most_frequent), OTHER, MISSING),
        counts=(*included.tolist(), int(counts.sum() - included.sum()), int(missing.sum())),
    )
