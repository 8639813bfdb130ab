"""What a predictor returns, checked and converted to a prediction of its task."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from tidegate.service.model.predictions import (
    Classification,
    JsonValues,
    Prediction,
    Regression,
)
from tidegate.service.model.signature import Signature, TaskName
from tidegate.service.request_errors import format_names

PAIR: Final = 2


class ResultError(ValueError):
    """A predictor returned something else than its task asks for; the text has no value of a client."""


def to_prediction(signature: Signature, results: object, rows: int) -> Prediction:
    """The prediction in the results of a predictor.

    Args:
        signature: what it answers.
        results: what `predict` returned.
        rows: the number of rows that it got.

    Raises:
        ResultError: they are not one valid result for each row.
    """
    if hasattr(results, "tolist"):  # numpy, pandas
        results = results.tolist()
    if not isinstance(results, list | tuple):
        raise ResultError(
            f"returned {_type(results)}, not a list with one result for each of the {rows} rows"
        )
    if len(results) != rows:
        raise ResultError(
            f"returned {len(results)} results for {rows} rows; return one for each row, in their order"
        )
    return READERS[signature.task](signature, results)


def _classification(signature: Signature, results: Sequence[Any]) -> Classification:
    classes = signature.classes
    positions = {label: position for position, label in enumerate(classes)}
    labels = np.empty(len(results), np.intp)
    probabilities = np.zeros((len(results), len(classes)), np.float32)

    def position_of(label: object, number: int) -> int:
        label = _scalar(label)
        if not isinstance(label, str | int) or isinstance(label, bool) or label not in positions:
            raise ResultError(
                f"returned {_type(label)} for row {number} that is none of its `classes`; return one of "
                f"{format_names([str(each) for each in classes])}, a pair of it and its probability, or a "
                "dict of the probability of each"
            )
        return positions[label]

    for number, result in enumerate(results):
        if isinstance(result, Mapping):
            for label, probability in result.items():
                at = position_of(label, number)
                probabilities[number, at] = _probability(probability, number)
            labels[number] = probabilities[number].argmax()
            if not result:
                raise ResultError(f"returned an empty dict for row {number}")
            continue
        label, probability = result, 1.0
        if isinstance(result, list | tuple):
            if len(result) != PAIR:
                raise ResultError(
                    f"returned {len(result)} values for row {number}, not a label and its probability"
                )
            label, probability = result
        labels[number] = at = position_of(label, number)
        sure = _probability(probability, number)
        # What is left is divided between the other classes, as nothing is known of them.
        probabilities[number] = (1 - sure) / (len(classes) - 1)
        probabilities[number, at] = sure
    return Classification(labels, probabilities)


def _regression(signature: Signature, results: Sequence[Any]) -> Regression:
    del signature
    values = [_finite(_single(result), number, "a number") for number, result in enumerate(results)]
    return Regression(np.array(values, np.float64))


def _json_values(signature: Signature, results: Sequence[Any]) -> JsonValues:
    del signature
    return JsonValues([_json(result, number) for number, result in enumerate(results)])


READERS: Final[dict[TaskName, Callable[[Signature, Sequence[Any]], Prediction]]] = {
    "classification": _classification,
    "regression": _regression,
    "values": _json_values,
}


def _json(result: object, number: int) -> bytes:
    try:
        # Unlike orjson it refuses NaN, which is no JSON.
        return json.dumps(result, allow_nan=False, default=_plain, separators=(",", ":")).encode()
    except TypeError as error:
        raise ResultError(
            f"returned something for row {number} that is not JSON: {error}"
        ) from None
    except RecursionError:
        raise ResultError(f"returned something for row {number} that is nested too deep") from None
    except ValueError:
        raise ResultError(
            f"returned a number that is not finite (NaN or infinity), or a list in itself, for row {number}; "
            "return None where there is no value"
        ) from None


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value is of type {type(value).__name__}")


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _single(value: Any) -> Any:
    """The element of a list of one, as the model may predict a column."""
    if isinstance(value, list | tuple | np.ndarray) and len(value) == 1:
        return value[0]
    return value


def _finite(value: object, number: int, what: str) -> float:
    value = _scalar(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ResultError(f"returned {_type(value)} for row {number}, not {what}")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        name = "NaN" if math.isnan(found) else "infinity"
        raise ResultError(f"returned {name} for row {number}, not {what} that is finite")
    return found


def _probability(value: object, number: int) -> float:
    found = _finite(value, number, "a probability")
    if not 0 <= found <= 1:
        raise ResultError(f"returned a probability for row {number} that is not from 0 to 1")
    return found


def _type(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
