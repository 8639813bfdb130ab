"""Calibrated confidence: the expected number of correct predictions, before the labels are known."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.reference import Calibration

_MAX_SINGLE: Final = 2
"""More values than this are interpolated by numpy."""


class Expectation:
    """The calibration as a function.

    It does not detect concept drift: it assumes that the labels still depend on the features as at training.
    So trust it only where no feature has drifted.
    """

    def __init__(self, calibration: Calibration) -> None:
        self._confidence = list(calibration.confidence)
        self._correct = list(calibration.correct)

    def correct(self, confidence: npt.NDArray[np.floating[Any]]) -> float:
        """The expected number of correct predictions.

        Args:
            confidence: the probability of each predicted label.
        """
        if len(confidence) > _MAX_SINGLE:
            return float(np.interp(confidence, self._confidence, self._correct).sum())
        return sum(map(self._one, confidence.tolist()))

    def _one(self, confidence: float) -> float:
        # np.interp costs 4 µs for a single value, this 0.4 µs.
        xs, ys = self._confidence, self._correct
        right = bisect_right(xs, confidence)
        if right == 0:
            return ys[0]
        if right == len(xs):
            return ys[-1]
        left = right - 1
        share = (confidence - xs[left]) / (xs[right] - xs[left])
        return ys[left] + share * (ys[right] - ys[left])
