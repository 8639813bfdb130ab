"""What a predictor returns: its number of results, and the values that tasks read in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


class ResultError(ValueError):
    """A predictor returned something else than its task asks for; the text has no value of a client."""


def listed(results: object, rows: int) -> Sequence[Any]:
    """What `predict` returned, if it is one result for each row.

    Raises:
        ResultError: it is no list, or one of another length.
    """
    if hasattr(results, "tolist"):  # numpy, pandas
        results = results.tolist()
    if not isinstance(results, list | tuple):
        raise ResultError(
            f"returned {type_name(results)}, not a list with one result for each of the {rows} rows"
        )
    if len(results) != rows:
        raise ResultError(
            f"returned {len(results)} results for {rows} rows; return one for each row, in their order"
        )
    return results


def scalar(value: Any) -> Any:
    """A value of numpy as one of Python."""
    return value.item() if isinstance(value, np.generic) else value


def single(value: Any) -> Any:
    """The element of a list of one, as the model may predict a column."""
    if isinstance(value, list | tuple | np.ndarray) and len(value) == 1:
        return value[0]
    return value


def finite(value: object, number: int, what: str) -> float:
    """A finite number in the result of a row, counted from 0; `what` it should be is for the message.

    Raises:
        ResultError: it is none.
    """
    value = scalar(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ResultError(f"returned {type_name(value)} for row {number}, not {what}")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        name = "NaN" if math.isnan(found) else "infinity"
        raise ResultError(f"returned {name} for row {number}, not {what} that is finite")
    return found


def probability(value: object, number: int) -> float:
    """A number from 0 to 1 in the result of a row.

    Raises:
        ResultError: it is none.
    """
    found = finite(value, number, "a probability")
    if not 0 <= found <= 1:
        raise ResultError(f"returned a probability for row {number} that is not from 0 to 1")
    return found


def type_name(value: object) -> str:
    """What a value is, for a message: never the value itself."""
    return "None" if value is None else f"a value of type {type(value).__name__}"
