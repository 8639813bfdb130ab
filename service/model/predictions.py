"""What a model predicts for the rows of a request: one type per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Classification:
    """The predictions of a classifier.

    Attributes:
        labels: the index of the predicted class for each row.
        probabilities: float32 of shape [rows, classes].
    """

    labels: npt.NDArray[np.intp]
    probabilities: npt.NDArray[np.float32]

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """The probability of the predicted label, for each row."""
        picked: npt.NDArray[np.float32] = self.probabilities[
            np.arange(len(self.labels)), self.labels
        ]
        return picked


@dataclass(frozen=True, slots=True)
class Regression:
    """The predictions of a regressor.

    Attributes:
        values: the predicted value of each row; not finite where the model has none.
    """

    values: npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Values:
    """The named outputs of any other model.

    Attributes:
        outputs: an array per output; the first axis is the rows.
    """

    outputs: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class JsonValues:
    """The results of a predictor in Python.

    Attributes:
        texts: the JSON text of each row.
    """

    texts: Sequence[bytes]


Prediction: TypeAlias = Classification | Regression | Values | JsonValues
