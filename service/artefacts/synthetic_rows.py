"""Rows to compare two models on where the user gives none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.service.model.features import Feature, Matrix

PROBE_ROWS: Final = 500
HOLES: Final = 0.2
"""Fraction of values that are missing in `with_holes`."""


def random_rows(
    features: Sequence[Feature],
    *,
    center: npt.NDArray[np.float64] | float = 0.0,
    scale: npt.NDArray[np.float64] | float = 1.0,
    thresholds: Mapping[int, Any] | None = None,
    zeros: float = 0.0,
) -> Matrix:
    """`PROBE_ROWS` random rows, always the same ones.

    Args:
        features: the features; codes are drawn for a category, and limits are kept.
        center: the means of normally distributed values.
        scale: their standard deviations.
        thresholds: the thresholds of a tree ensemble by column: values are drawn around them.
        zeros: fraction of values that are 0, which boosters can treat as a missing value.
    """
    random = np.random.default_rng(0)
    matrix: npt.NDArray[np.float64] = (
        center + random.normal(size=(PROBE_ROWS, len(features))) * scale
    )
    for column, values in sorted((thresholds or {}).items()):
        if not np.size(values):
            continue
        low, high = float(np.min(values)), float(np.max(values))
        margin = (high - low) / 4 + abs(high) / 100 + 1e-3
        matrix[:, column] = random.uniform(low - margin, high + margin, PROBE_ROWS)
    if zeros:
        matrix[random.random(matrix.shape) < zeros] = 0.0
    for i, feature in enumerate(features):
        if feature.kind == "category":
            matrix[:, i] = random.integers(len(feature.categories), size=PROBE_ROWS)
            continue
        if feature.kind == "integer":
            matrix[:, i] = np.round(matrix[:, i])
        low = -np.inf if feature.minimum is None else feature.minimum
        high = np.inf if feature.maximum is None else feature.maximum
        matrix[:, i] = np.clip(matrix[:, i], low, high)
    return np.ascontiguousarray(matrix, dtype=np.float32)


def with_holes(matrix: Matrix, features: Sequence[Feature]) -> Matrix:
    """A copy with missing values in the features that may be missing."""
    holes = matrix.copy()
    picked = np.random.default_rng(1).random(matrix.shape) < HOLES
    picked &= np.array([feature.missing for feature in features])
    holes[picked] = np.nan
    return holes
