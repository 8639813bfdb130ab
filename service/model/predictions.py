"""What a model predicts for the rows of a request: one type per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.watching.table import FEW_ROWS

DECIMALS: Final = 6
"""Decimals of a probability in responses."""


@dataclass(slots=True)
class Classification:
    """The predictions of a classifier."""

    labels: npt.NDArray[np.intp]
    """The index of the predicted class for each row."""
    probabilities: npt.NDArray[np.float32]
    """Of shape [rows, classes]."""
    confidence: npt.NDArray[np.float32] = field(init=False)
    """The probability of the predicted label, for each row."""
    positions: list[int] = field(init=False)
    """The labels as a list."""
    rounded: list[float] = field(init=False)
    """The confidence, rounded to `DECIMALS`."""

    def __post_init__(self) -> None:
        rows = len(self.labels)
        self.confidence = self.probabilities[0 if rows == 1 else np.arange(rows), self.labels]
        self.positions = self.labels.tolist()
        if rows <= FEW_ROWS:
            self.rounded = [round(each, DECIMALS) for each in self.confidence.tolist()]
        else:
            self.rounded = self.confidence.astype(float).round(DECIMALS).tolist()


Numbers: TypeAlias = npt.NDArray[np.floating[Any]]
"""The predictions of a regressor: the value of each row; not finite where the model has none."""
Outputs: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""The named outputs of any other model: an array each; the first axis is the rows."""
JsonTexts: TypeAlias = Sequence[bytes]
"""The results of a predictor in Python: the JSON text of each row."""
Prediction: TypeAlias = Classification | Numbers | Outputs | JsonTexts
