"""The drift reference of a model in an application of the user's own, from a table of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from tidegate.monitoring.counting.category_bins import category_bins
from tidegate.monitoring.counting.label_text import label_text
from tidegate.monitoring.counting.number_bins import (
    PREDICTION,
    number_bins,
    predicted_value_bins,
)
from tidegate.monitoring.counting.reference import BadReferenceError, FeatureReference, Reference
from tidegate.monitoring.counting.residuals import MIN_ROWS, calibrate_residuals
from tidegate.monitoring.tasks.answers import numbers
from tidegate.monitoring.tasks.registry import TASKS
from tidegate.service.artefacts.reference import calibrate_confidence

MAX_INTEGER_LABELS: Final = 20
"""Integers with more different values than this are predicted values, not labels."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The roles of the columns."""

    prediction: str
    truth: str | None = None
    confidence: str | None = None
    """The probability of the predicted label."""
    features: tuple[str, ...] | None = None
    """None takes all other columns."""
    task: str | None = None
    """Whether predictions are labels or numbers; None decides by the column."""


def table_reference(table: pd.DataFrame, columns: Columns) -> Reference:
    """The reference of rows that the model was not trained on, with its predictions.

    It has the bins, and with true labels the held-out accuracy or errors.

    Raises:
        BadReferenceError: a column is missing or cannot be used; the text says what to do.
    """
    table = _checked(table, columns)
    features = _feature_names(table, columns)
    bins = tuple(_bins(name, table[name]) for name in features)
    of = {"samples": len(table), "features": bins}
    if _task(table[columns.prediction], columns) == "classification":
        return Reference.model_validate(of | _classification(table, columns))
    return Reference.model_validate(of | _regression(table, columns))


def _checked(table: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The table with names as strings, if it has rows and the named columns."""
    if columns.task not in {None, *TASKS}:
        raise BadReferenceError(f"--task should be {' or '.join(TASKS)}, got {columns.task}")
    table = table.set_axis([str(name) for name in table.columns], axis="columns")
    if table.empty:
        raise BadReferenceError("there are no rows")
    doubled = table.columns[table.columns.duplicated()]
    if len(doubled):
        raise BadReferenceError(f"there are several columns named {doubled[0]}: rename them")
    wanted = [columns.prediction, columns.truth, columns.confidence, *(columns.features or ())]
    for name in wanted:
        if name is not None and name not in table.columns:
            raise BadReferenceError(
                f"there is no column {name}; the columns are {', '.join(table.columns)}"
            )
    for name in (columns.prediction, columns.truth, columns.confidence):
        if name is not None and not table[name].notna().any():
            raise BadReferenceError(f"column {name} has no value")
    if columns.confidence is not None and columns.truth is None:
        raise BadReferenceError(
            "confidences are calibrated by true labels: name their column by --truth"
        )
    return table


def _feature_names(table: pd.DataFrame, columns: Columns) -> list[str]:
    roles = {columns.prediction, columns.truth, columns.confidence}
    if columns.features is None:
        found = [name for name in table.columns if name not in roles]
    else:
        found = list(dict.fromkeys(columns.features))
        if taken := roles.intersection(found):
            raise BadReferenceError(
                f"column {min(map(str, taken))} is a prediction or a label, not a feature"
            )
    if not found:
        raise BadReferenceError("there is no column of a feature beside those of the predictions")
    return found


def _bins(name: str, column: pd.Series[Any]) -> FeatureReference:
    if not _is_number(name, column):  # a column without values has none that is no number
        return category_bins(name, _texts(column))
    values = numbers(column)
    if np.isnan(values).all():
        raise BadReferenceError(
            f"column {name} has no finite number: name the features without it by --features"
        )
    return number_bins(name, values)


def _is_number(name: str, column: pd.Series[Any]) -> bool:
    """Whether a column has numbers; else it has texts or booleans.

    Raises:
        BadReferenceError: it has neither.
    """
    if types.is_integer_dtype(column) or types.is_float_dtype(column):
        return True
    kinds = {type(value) for value in column.dropna()}
    if all(issubclass(kind, str | bool | int | float | np.generic) for kind in kinds):
        return not any(issubclass(kind, str | bool | np.bool_) for kind in kinds)
    if np.isnan(numbers(column.dropna())).any():  # else such as Decimal
        names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise BadReferenceError(
            f"column {name} has values of type {names}, not numbers or texts (a time's hour is one): change "
            "it, or name the features without it by --features"
        )
    return True


def _task(column: pd.Series[Any], columns: Columns) -> str:
    if columns.task is not None:
        return columns.task
    if columns.confidence is not None or not _is_number(columns.prediction, column):
        return "classification"
    whole = types.is_integer_dtype(column)
    return "classification" if whole and column.nunique() <= MAX_INTEGER_LABELS else "regression"


def _classification(table: pd.DataFrame, columns: Columns) -> dict[str, Any]:
    labels = _texts(table[columns.prediction])
    truth = [] if columns.truth is None else _texts(table[columns.truth])
    found: dict[str, Any] = {"prediction": category_bins(PREDICTION, labels, truth)}
    if not truth:
        return found
    known = np.array([None not in pair for pair in zip(labels, truth, strict=True)])
    correct = np.array([one == other for one, other in zip(labels, truth, strict=True)])
    _check_rows(int(known.sum()), columns)
    found["accuracy"] = float(correct[known].mean())
    if columns.confidence is not None:
        confidence = numbers(table[columns.confidence])
        if not ((confidence >= 0) & (confidence <= 1) | np.isnan(confidence)).all():
            raise BadReferenceError(
                f"column {columns.confidence} has a number that is not between 0 and 1"
            )
        known &= ~np.isnan(confidence)
        _check_rows(int(known.sum()), columns)
        found["calibration"] = calibrate_confidence(confidence[known], correct[known])
    return found


def _regression(table: pd.DataFrame, columns: Columns) -> dict[str, Any]:
    values = _numbers_of(table, columns.prediction)
    found: dict[str, Any] = {"prediction": predicted_value_bins(values)}
    if columns.truth is not None:
        truth = _numbers_of(table, columns.truth)
        known = ~(np.isnan(values) | np.isnan(truth))
        _check_rows(int(known.sum()), columns)
        found["residuals"] = calibrate_residuals(values[known], truth[known])
    return found


def _numbers_of(table: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    values = numbers(table[name])
    if (np.isnan(values) & table[name].notna().to_numpy()).any():
        raise BadReferenceError(f"column {name} has a value that is not a finite number")
    return values


def _check_rows(count: int, columns: Columns) -> None:
    if count < MIN_ROWS:
        raise BadReferenceError(
            f"{count} rows have both {columns.prediction} and {columns.truth}; at least {MIN_ROWS} are needed"
        )


def _texts(column: pd.Series[Any]) -> Sequence[str | None]:
    return [label_text(value) for value in column.tolist()]
