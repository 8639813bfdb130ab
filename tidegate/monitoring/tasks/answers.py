"""What is recorded of the predictions of one call, which may be of any type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.feedback.prediction_ids import PredictionIds

Floats = npt.NDArray[np.float64]

_FEW: Final = 8
"""Up to this number, Python is faster than numpy."""
_NUMBERS: Final = frozenset({int, float, bool, type(None)})
_TEXTS: Final = (str, bytes, bytearray)


@dataclass(frozen=True, slots=True)
class Answers:
    """The predictions of one call."""

    counts: Mapping[str, int]
    """The number of predictions by the label of `tidegate_predictions_total`."""
    scores: npt.NDArray[np.floating[Any]]
    """What the expected accuracy or error is a function of: confidences or predicted values; empty without
    confidences."""
    fields: dict[str, Any]
    """`tidegate.prediction` of the request's event."""
    sign: Callable[[PredictionIds, int, tuple[str, str]], list[str]]
    """Creates the prediction ids, from the time in microseconds since 1970 and the request's trace and span
    id."""

    def __len__(self) -> int:
        return sum(self.counts.values())


def listed(values: object, what: str) -> list[Any]:
    """The values of a list, a tuple, an array or a column of pandas, of shape [rows] or [rows, 1].

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


def numbers(column: Any) -> Floats:
    """The numbers of a sequence, an array or a column of pandas; NaN for what is none, or is infinite."""
    if isinstance(column, list) and len(column) <= _FEW:
        return np.array([finite(value) for value in column], np.float64)
    values = column if isinstance(column, list | tuple) else np.asarray(column)
    found: Floats
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        found = values.astype(np.float64)
    elif isinstance(values, np.ndarray) and values.dtype.kind in "mM":  # its items may be integers
        return np.full(len(values), np.nan)
    else:
        listed = items(values)
        found = _converted(listed) if _NUMBERS.issuperset(map(type, listed)) else _each(listed)
    found[~np.isfinite(found)] = np.nan
    return found


def _converted(values: list[Any]) -> Floats:
    try:
        return np.array(values, np.float64)  # None becomes NaN
    except OverflowError:  # an integer beyond float64
        return _each(values)


def _each(values: list[Any]) -> Floats:
    return np.array([_number(value) for value in values], np.float64)


def finite(value: Any) -> float:
    """A value as a number; NaN if it is none, or if it is infinite."""
    number = value if type(value) is float else _number(value)
    return number if isfinite(number) else np.nan


def _number(value: Any) -> float:
    if value is None or isinstance(value, _TEXTS):
        return np.nan
    try:
        return float(value)
    # A value may be of any type, whose conversion may raise anything.
    except Exception:  # noqa: BLE001
        return np.nan


def items(column: Any) -> list[Any]:
    """The items of a list, an array or a column of pandas, as Python's."""
    if isinstance(column, list):
        return column
    if hasattr(column, "to_numpy"):
        column = column.to_numpy()
    return column.tolist() if hasattr(column, "tolist") else list(column)
