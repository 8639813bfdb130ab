"""The features of a model, and the validation that encodes instances as a matrix.

A valid body must cost little, so it is validated column by column with a few C calls and one comparison of
the whole matrix; `FEW_ROWS` and fewer by plain comparisons, as the calls cost more than a few values do. Only
if that finds a fault is each value validated by itself, to name the fault.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from math import nan
from operator import itemgetter
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from tidegate.monitoring.watching.table import FEW_ROWS
from tidegate.service.request_errors import (
    NOT_FINITE,
    Detail,
    Loc,
    RequestError,
    format_names,
    format_value,
)

Matrix: TypeAlias = npt.NDArray[np.floating[Any]]
Value: TypeAlias = float | int | str | None

MAX_ROWS: Final = 4096
"""Largest number of rows in a request; more would use a slot for too long."""
MAX_DETAILS: Final = 20
"""Largest number of faults in a response."""
BLOCK_ROWS: Final = 32
"""Rows validated value by value if one of them is invalid: 4096 would block the event loop for 40 ms."""
FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
INSTANCES: Final[Loc] = ("body", "instances")
_REQUIRED: Final = ("Field required", "missing")


class FeatureDescription(BaseModel):
    """What a person may say about a feature."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    """The key of its value in an instance."""
    kind: Literal["number", "integer", "boolean", "category", "text"] = "number"
    """A number, a whole number, true or false (or 1 or 0), one of `categories`, or any text."""
    minimum: float | None = None
    """The smallest value that is accepted."""
    maximum: float | None = None
    """The largest value that is accepted."""
    categories: tuple[str, ...] = Field(default=(), strict=False)
    """The accepted strings of a category; the index of a string is its number in the matrix."""
    unit: str = ""
    """The unit of its value, for the API documentation."""
    description: str = ""
    """Its meaning, for the API documentation."""
    missing: bool = False
    """Whether the value may be null or absent."""


class Feature(FeatureDescription):
    """One input of the model."""

    observed: tuple[float, float] | None = None
    """Its range in training."""
    example: bool | float | int | str | None = None
    """A value that is accepted."""

    @property
    def is_whole(self) -> bool:
        """Whether its number has no fraction."""
        return self.kind in {"integer", "boolean"}

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest number that are accepted."""
        if self.kind == "boolean":
            return 0.0, 1.0
        low, high = self.minimum, self.maximum
        return -FLOAT32_MAX if low is None else low, FLOAT32_MAX if high is None else high

    @property
    def is_string(self) -> bool:
        """Whether its value is a string."""
        return self.kind in {"category", "text"}


class Schema:
    """Validates and encodes instances of a model's features, in float32 or float64.

    The matrix has the index of a category, and the number of characters of a text.
    """

    def __init__(
        self, features: Sequence[Feature], dtype: type[np.floating[Any]] = np.float32
    ) -> None:
        self.features: Final = tuple(features)
        self._dtype: Final = np.dtype(dtype)
        self.names: Final = tuple(feature.name for feature in features)
        self._known = frozenset(self.names)
        self._required = frozenset(feature.name for feature in features if not feature.missing)
        self._values_of = _value_getter(self.names)
        self._codes = [_codes(feature) for feature in features]
        self._types = [_types(feature) for feature in features]
        low, high = zip(*(feature.limits for feature in features), strict=True)
        self._low = np.array(low)[:, None]
        self._high = np.array(high)[:, None]
        whole = [feature.is_whole for feature in features]
        self._rules = [*zip(self.names, self._codes, self._types, low, high, whole, strict=True)]
        self._whole = np.flatnonzero(whole)

    def encode(self, instances: object) -> Matrix:
        """Validate instances, and encode them: a row each, a column per feature, NaN for a missing value.

        Raises:
            RequestError: 422, naming each invalid value, up to `MAX_DETAILS`.
        """
        rows = checked_length(instances)
        if len(rows) <= FEW_ROWS and (few := self._from_few(rows)) is not None:
            return few
        columns = self._columns(rows)
        matrix = None if columns is None else self._from_columns(columns)
        if matrix is None:
            raise RequestError(422, *islice(self._faults(rows, INSTANCES), MAX_DETAILS))
        return matrix

    def encode_columns(self, columns: Sequence[Sequence[Any]], loc: Loc) -> Matrix:
        """As `encode`, for values in columns, in the order of the features."""
        matrix = self._from_columns(columns)
        if matrix is None:
            rows = [dict(zip(self.names, row, strict=True)) for row in zip(*columns, strict=True)]
            raise RequestError(422, *islice(self._faults(rows, loc), MAX_DETAILS))
        return matrix

    def decode(self, matrix: Matrix) -> list[dict[str, Value]]:
        """The inverse of `encode`: the instances of a matrix, which has no texts."""
        columns = [_decoded(*pair) for pair in zip(self.features, matrix.T, strict=True)]
        return [dict(zip(self.names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _from_few(self, rows: list[Any]) -> Matrix | None:
        """The matrix of rows that are complete and valid; None for all others."""
        values: array[float] = array(self._dtype.char)
        try:
            for row in rows:
                if len(row) != len(self._rules):
                    return None
                for name, codes, types, low, high, whole in self._rules:
                    value = row[name]
                    if codes is not None:
                        values.append(codes[value])
                    elif type(value) not in types:
                        return None
                    elif value is None:
                        values.append(nan)
                    elif not low <= value <= high or (whole and value % 1):
                        return None
                    else:
                        values.append(value)
        # It lacks a feature, has an unknown category, or is no object.
        except (KeyError, TypeError):
            return None
        return np.frombuffer(values, self._dtype).reshape(len(rows), -1)

    def _columns(self, rows: list[Any]) -> Sequence[Sequence[Any]] | None:
        try:
            columns = list(zip(*map(self._values_of, rows), strict=True))
            if sum(map(len, rows)) == len(rows) * len(self.names):
                return columns
        except (KeyError, TypeError):
            pass
        for row in rows:
            if not (isinstance(row, dict) and self._required <= row.keys() <= self._known):
                return None
        return [[row.get(name) for row in rows] for name in self.names]

    def _from_columns(self, columns: Sequence[Sequence[Any]]) -> Matrix | None:
        encoded: list[Sequence[Any]] = []
        for column, types, codes in zip(columns, self._types, self._codes, strict=True):
            if not types.issuperset(map(type, column)):
                return None
            if codes is None:
                encoded.append(column)
                continue
            try:
                encoded.append([codes[value] for value in column])
            except KeyError:
                return None
        try:
            wide = np.array(encoded, dtype=np.float64)  # None becomes NaN
        except OverflowError:  # an integer beyond float64
            return None
        # NaN, a missing value, compares false and is accepted.
        if ((wide < self._low) | (wide > self._high)).any():
            return None
        if self._whole.size and (np.mod(wide[self._whole], 1.0) > 0).any():
            return None
        return np.ascontiguousarray(wide.T, dtype=self._dtype)

    def _faults(self, rows: list[Any], loc: Loc) -> Iterator[Detail]:
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            columns = self._columns(block)
            if columns is None or self._from_columns(columns) is None:
                yield from self._faults_of(block, start, loc)

    def _faults_of(self, rows: list[Any], start: int, loc: Loc) -> Iterator[Detail]:
        for number, row in enumerate(rows, start):
            if not isinstance(row, dict):
                yield not_an_object(loc, number)
                continue
            for feature in self.features:
                if row.get(feature.name) is None and feature.missing:
                    continue
                present = feature.name in row
                fault = fault_of(feature, row[feature.name]) if present else _REQUIRED
                if fault:
                    yield Detail((*loc, number, feature.name), *fault)
            for name in row:
                if name not in self._known:
                    message = f"Unknown feature; expected {format_names(self.names)}"
                    yield Detail((*loc, number, str(name)), message, "extra_forbidden")


def fault_of(feature: Feature, value: object) -> tuple[str, str] | None:  # noqa: PLR0911 (one rule per line)
    """The fault of a value as (message, type); None if it is valid."""
    if feature.is_string:
        return _string_fault(feature, value)
    if feature.kind == "boolean":
        is_one = isinstance(value, int | float) and value in {0, 1}
        return None if is_one else ("Input should be true or false", "bool_type")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "Input should be a number", "float_type"
    if not -FLOAT32_MAX <= value <= FLOAT32_MAX:
        return "Input should be a finite 32-bit number", NOT_FINITE
    if feature.kind == "integer" and value % 1:
        return "Input should be a whole number", "int_from_float"
    if feature.minimum is not None and value < feature.minimum:
        return f"Input should be at least {feature.minimum:g}", "greater_than_equal"
    if feature.maximum is not None and value > feature.maximum:
        return f"Input should be at most {feature.maximum:g}", "less_than_equal"
    return None


def _string_fault(feature: Feature, value: object) -> tuple[str, str] | None:
    if not isinstance(value, str):
        return "Input should be a string", "string_type"
    if feature.kind == "text" or value in feature.categories:
        return None
    names = format_names(feature.categories)
    return f"Unknown value {format_value(value)}; expected one of {names}", "literal_error"


def checked_length(instances: object) -> list[Any]:
    """The instances as a list of 1 to `MAX_ROWS` values of any type.

    Raises:
        RequestError: 422, it is no list, or one of another length.
    """
    if not isinstance(instances, list):
        raise RequestError(422, Detail(INSTANCES, "Input should be a list of objects", "list_type"))
    if not instances:
        message = "Input should have at least one instance"
        raise RequestError(422, Detail(INSTANCES, message, "too_short"))
    if len(instances) > MAX_ROWS:
        message = f"At most {MAX_ROWS} instances are accepted in one request, got {len(instances)}"
        raise RequestError(422, Detail(INSTANCES, message, "too_long"))
    return instances


def not_an_object(loc: Loc, number: int) -> Detail:
    """The fault of an instance that is none."""
    return Detail((*loc, number), "Input should be an object", "dict_type")


def _value_getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    (name,) = names  # itemgetter returns a bare value for one name
    return lambda row: (row[name],)


class _Lengths(dict[str | None, float]):
    """The number of characters of any text."""

    def __missing__(self, text: str | None) -> float:
        return float(len(text))  # type: ignore[arg-type]  # TypeError, as for what is no key


def _codes(feature: Feature) -> dict[str | None, float] | None:
    if not feature.is_string:
        return None
    codes: dict[str | None, float] = _Lengths() if feature.kind == "text" else {}
    codes |= {name: float(i) for i, name in enumerate(feature.categories)}
    if feature.missing:
        codes[None] = np.nan
    return codes


def _types(feature: Feature) -> frozenset[type]:
    # Exact types: bool is a subclass of int, but not a JSON number.
    types: set[type] = {str} if feature.is_string else {int, float}
    if feature.kind == "boolean":
        types.add(bool)
    return frozenset(types | {type(None)} if feature.missing else types)


def category_names(feature: Feature, codes: npt.NDArray[np.floating[Any]]) -> list[str | None]:
    """The categories of a column; None if missing."""
    return [None if np.isnan(code) else feature.categories[int(code)] for code in codes]


def _decoded(feature: Feature, column: npt.NDArray[np.floating[Any]]) -> Sequence[Value]:
    if feature.kind == "category":
        return category_names(feature, column)
    if feature.kind == "boolean":
        return [None if np.isnan(value) else bool(value) for value in column]
    # The shortest decimal form: 12.65858, not 12.658579826354980. JSON's integers have 64 bits.
    return [
        None
        if np.isnan(value)
        else int(value)
        if value == int(value) and abs(value) < 2**53
        else float(str(value))
        for value in column
    ]
