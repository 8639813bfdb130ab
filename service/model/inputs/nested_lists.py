"""Nested lists of JSON as arrays, with the type and shape of a tensor."""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.service.model.tensor_spec import DTYPES, DYNAMIC, TensorSpec
from tidegate.service.request_errors import format_value

_NUMBERS: Final = frozenset({int, float})


class NotATensorError(ValueError):
    """The value does not have the type or the shape; the text says what it has instead."""


def nested_array(values: list[Any], spec: TensorSpec) -> npt.NDArray[Any]:
    """The nested lists of several instances as one array, whose first axis is the instances.

    Raises:
        NotATensorError: a list has another length, or a value another type.
    """
    shape, level = [len(values)], values
    for size in spec.shape[1:]:
        if set(map(type, level)) != {list}:
            raise NotATensorError(_got_instead(values))
        lengths = set(map(len, level))
        found = lengths.pop()
        if lengths or not found or size not in {DYNAMIC, found}:
            raise NotATensorError(_got_instead(values))
        shape.append(found)
        level = list(chain.from_iterable(level))
    return flat_array(level, spec.datatype).reshape(shape)


def flat_array(values: list[Any], datatype: str) -> npt.NDArray[Any]:
    """JSON values as an array of one axis.

    Raises:
        NotATensorError: a value has another type, or is outside the range of the datatype.
    """
    types = set(map(type, values))
    if datatype == "BYTES":
        _require(values, types <= {str}, str)
        return np.array(values, dtype=object)
    dtype = DTYPES[datatype]
    if dtype.kind == "b":
        _require(values, types <= {bool}, bool)
        return np.array(values, dtype)
    _require(values, types <= _NUMBERS, int, float)  # exactly: bool is a subclass of int
    if dtype.kind == "f":
        return _floats(values, dtype)
    return _integers(values, dtype, has_floats=float in types)


def describe(spec: TensorSpec) -> str:
    """The type and the shape of one instance, for messages: `FP32 of shape [28, any]`."""
    if len(spec.shape) == 1:
        return f"one {spec.datatype} value"
    sizes = ("any" if size == DYNAMIC else str(size) for size in spec.shape[1:])
    return f"{spec.datatype} of shape [{', '.join(sizes)}]"


def _floats(values: list[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    wide = np.array(values, np.float64)
    limit = float(np.finfo(dtype).max)
    if (outside := np.abs(wide) > limit).any():
        raise NotATensorError(f"{_shown(values, outside)}, beyond ±{limit:.5g}")
    return wide.astype(dtype)


def _integers(values: list[Any], dtype: np.dtype[Any], *, has_floats: bool) -> npt.NDArray[Any]:
    if has_floats:
        for value in values:
            if value % 1:
                raise NotATensorError(f"{value:g}, which is not a whole number")
        values = list(map(int, values))
    limits = np.iinfo(dtype)
    low, high = min(values), max(values)
    if low < limits.min or high > limits.max:
        outside = low if low < limits.min else high
        raise NotATensorError(f"{outside}, outside {limits.min} … {limits.max}")
    return np.array(values, dtype)


def _require(values: list[Any], valid: bool, *types: type) -> None:
    if valid:
        return
    wrong = next(value for value in values if type(value) not in types)
    raise NotATensorError(format_value(wrong))


def _shown(values: list[Any], wrong: npt.NDArray[np.bool_]) -> str:
    return format_value(values[int(wrong.argmax())])


def _got_instead(values: list[Any]) -> str:
    """The shape of the first instance, if its lists have one.

    Not by numpy: in its array of texts each one is as wide as the longest, gigabytes for a body of 1 MB.
    """
    level, shape = [values[0]], list[int]()
    while level and set(map(type, level)) == {list}:
        lengths = set(map(len, level))
        if len(lengths) > 1:
            return "lists of different lengths"
        shape += lengths
        level = list(chain.from_iterable(level))
    if list in map(type, level):
        return "values among lists"
    return f"shape {shape}" if shape else format_value(values[0])
