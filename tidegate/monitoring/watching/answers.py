"""What is recorded of the predictions of one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Answers:
    """The predictions of one call.

    Attributes:
        counts: the number of predictions by the label of `tidegate_predictions_total`.
        scores: what the expected accuracy or error is a function of: confidences or predicted values; empty
            without confidences.
        fields: `tidegate.prediction` of the request's event.
        ids: creates the prediction ids, from the time in microseconds since 1970 and the request's trace and
            span id.
    """

    counts: Mapping[str, int]
    scores: npt.NDArray[np.floating[Any]]
    fields: dict[str, Any]
    ids: Callable[[int, tuple[str, str]], list[str]]

    def __len__(self) -> int:
        return sum(self.counts.values())


def listed(values: object, what: str) -> list[Any]:
    """The values of a list, a tuple, an array or a column of pandas.

    Args:
        values: the values, of shape [rows] or [rows, 1].
        what: their name in errors.

    Raises:
        ValueError: they are not a list or array of one dimension.
    """
    if isinstance(values, list | tuple) and not any(isinstance(v, list | tuple) for v in values):
        return list(values)
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
        raise ValueError(
            f"{what} should be a list or an array with one value for each row, got "
            f"{type(values).__name__}"
        )
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"{what} should have one value for each row, got an array of shape {array.shape}"
        )
    found: list[Any] = array.tolist()
    return found
