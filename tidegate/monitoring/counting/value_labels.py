"""The bins of predicted values as labels, so that a regressor's predictions are counted as classes are."""

from __future__ import annotations

from bisect import bisect_right
from math import isfinite
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.reference import MISSING, FeatureReference, bin_starts

ANY: Final = "any"
"""The label of every finite number if the reference has no bins."""
_MAX_BISECT: Final = 8
"""More values than this are counted by numpy."""


class ValueLabels:
    """The label of each predicted value, for `tidegate_predictions_total`. Thread-safe."""

    def __init__(self, reference: FeatureReference | None) -> None:
        self.names: Final = (ANY, MISSING) if reference is None else reference.labels
        """The labels, in the order of `counts`; the last one is of values that are not finite."""
        self._starts = [] if reference is None else bin_starts(reference.edges)

    def counts(self, values: npt.NDArray[np.floating[Any]]) -> list[int]:
        """The number of values of each label."""
        size = len(self.names)
        if len(values) <= _MAX_BISECT:
            counts = [0] * size
            for value in values.tolist():
                counts[self._index(value)] += 1
            return counts
        finite = values[np.isfinite(values)].astype(np.float64)
        indices = np.searchsorted(self._starts, finite, side="right")
        counted: list[int] = np.bincount(indices, minlength=size).tolist()
        counted[-1] += len(values) - len(finite)
        return counted

    def _index(self, value: float) -> int:
        return bisect_right(self._starts, value) if isfinite(value) else len(self.names) - 1
