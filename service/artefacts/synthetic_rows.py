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
    spread: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None,
    thresholds: Mapping[int, Sequence[float]] | None = None,
) -> Matrix:
    """`PROBE_ROWS` random rows, always the same ones, within the features' limits and categories.

    They lie around the mean of each feature, by its standard deviation (`spread`; default: 0 and 1), or
    around the thresholds of a tree ensemble, by column.
    """
    random = np.random.default_rng(0)
    center, scale = spread or (0.0, 1.0)
    matrix: npt.NDArray[np.float64] = (
        center + random.normal(size=(PROBE_ROWS, len(features))) * scale
    )
    for column, values in sorted((thresholds or {}).items()):
        low, high = min(values), max(values)
        margin = (high - low) / 4 + abs(high) / 100 + 1e-3
        matrix[:, column] = random.uniform(low - margin, high + margin, PROBE_ROWS)
    for i, feature in enumerate(features):
        if feature.kind == "category":
            matrix[:, i] = random.integers(len(feature.categories), size=PROBE_ROWS)
        elif isinstance(feature.example, float):  # of the few numbers that the model takes
            matrix[:, i] = feature.example
        elif feature.kind != "text":
            matrix[:, i] = within(feature, matrix[:, i])
    return matrix


def within(feature: Feature, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values of a number within its limits, and whole if it is an integer."""
    if feature.is_whole:
        values = np.round(values)
    return np.asarray(np.clip(values, *feature.limits))


def placeholder_texts(features: Sequence[Feature], rows: int) -> dict[str, list[str | None]]:
    """A text for each row and each feature that is one."""
    return {feature.name: ["text"] * rows for feature in features if feature.kind == "text"}


def with_holes(matrix: Matrix, features: Sequence[Feature]) -> Matrix:
    """A copy with missing values in the features that may be missing."""
    holes = matrix.copy()
    picked = np.random.default_rng(1).random(matrix.shape) < HOLES
    picked &= np.array([feature.missing for feature in features])
    holes[picked] = np.nan
    return holes
