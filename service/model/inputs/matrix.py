"""Inputs of features: one matrix, or one column per feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.service.model.features import Feature, Matrix, Schema
from tidegate.service.model.inputs.contract import BatchT, Inputs
from tidegate.service.model.inputs.feature_docs import instance_model
from tidegate.service.model.signature import Signature
from tidegate.service.model.tensor_spec import BYTES, Datatype, Tensor, TensorSpec
from tidegate.service.request_errors import (
    MAX_VALUE_CHARACTERS,
    Detail,
    RequestError,
    format_names,
    protocol_error,
)

INPUTS: Final = ("inputs",)
MATRIX_INPUT: Final = "features"
"""Name of the tensor of a request that has all features as one matrix."""


class FeatureInputs(Inputs[BatchT]):
    """Features, however the model takes them."""

    def __init__(self, signature: Signature) -> None:
        self.features = signature.features
        self.tensors = tuple(
            TensorSpec(name=f.name, datatype=_datatype(f, signature.datatype), shape=(-1, 1))
            for f in self.features
        )
        self.dtype: Final = signature.dtype

    def differences(self, other: Signature) -> list[str]:
        """Features that the other model lacks, requires, or accepts fewer values of."""
        return _differences(self.features, other.features)

    def instance_type(self) -> Any:
        """An object with a field for each feature."""
        return instance_model(self.features)

    def example(self, batch: BatchT) -> dict[str, Any]:
        """The example of each feature."""
        return {feature.name: feature.example for feature in self.features}


class MatrixInputs(FeatureInputs[Matrix]):
    """Features that the graph takes as one matrix."""

    def __init__(self, signature: Signature) -> None:
        super().__init__(signature)
        self.schema: Final = Schema(signature.features, self.dtype)
        self._input = MATRIX_INPUT
        self._type = np.dtype(self.dtype)

    def read(self, instances: object) -> Matrix:
        """As `Schema.encode`."""
        return self.schema.encode(instances)

    def read_tensors(self, tensors: Sequence[Tensor]) -> Matrix:
        """Encode an input per feature, or one input of all of them. NaN is a missing value."""
        return self.schema.encode_columns(columns_of(self.schema, tensors), INPUTS)

    def graph_inputs(self, types: Mapping[str, str]) -> None:
        """Take the name and the type of the graph's only input."""
        ((self._input, kind),) = types.items()
        self._type = _dtype(kind)

    def feeds(self, batch: Matrix) -> list[dict[str, npt.NDArray[Any]]]:
        """The matrix, in the type of the graph's input."""
        return [{self._input: batch if batch.dtype == self._type else batch.astype(self._type)}]

    def placeholder(self, size: int) -> Matrix:
        """One row of zeros."""
        return np.zeros((1, len(self.features)), self.dtype)

    def resize(self, batch: Matrix, rows: int) -> Matrix:
        """The matrix with this number of rows."""
        return np.resize(batch, (rows, batch.shape[1]))

    def matrix(self, batch: Matrix) -> Matrix:
        """The batch itself."""
        return batch


class ColumnInputs(MatrixInputs):
    """Features that the graph takes as an input of shape [rows, 1] each; categories as strings."""

    def __init__(self, signature: Signature) -> None:
        super().__init__(signature)
        self._categories = [np.array(f.categories, dtype=object) for f in self.features]
        self._types: dict[str, np.dtype[Any]] = {}

    def graph_inputs(self, types: Mapping[str, str]) -> None:
        """Take the type of each feature's input."""
        self._types = {name: _dtype(kind) for name, kind in types.items()}

    def feeds(self, batch: Matrix) -> list[dict[str, npt.NDArray[Any]]]:
        """A column for each feature."""
        feed: dict[str, npt.NDArray[Any]] = {}
        for position, feature in enumerate(self.features):
            column = batch[:, position : position + 1]
            if feature.kind == "category":
                feed[feature.name] = self._categories[position][column.astype(np.intp)]
            else:
                feed[feature.name] = np.ascontiguousarray(column, self._types[feature.name])
        return [feed]


def _dtype(kind: str) -> np.dtype[Any]:
    """The numpy type of an input, by ONNX Runtime's name of it: `tensor(double)`."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64", "string": "object"}.get(name, name))


def _datatype(feature: Feature, of_numbers: Datatype) -> Datatype:
    """The datatype of a feature in the protocol."""
    if feature.is_string:
        return "BYTES"
    # Only the types of numbers have NaN for a missing value.
    if feature.missing or not feature.is_whole:
        return of_numbers
    return "INT64" if feature.kind == "integer" else "BOOL"


def columns_of(schema: Schema, tensors: Sequence[Tensor]) -> list[Sequence[Any]]:
    """The column of each feature in input tensors. NaN in a tensor is a missing value.

    Raises:
        RequestError: 400 or 422, naming the invalid input.
    """
    by_name = tensors_by_name(tensors)
    rows = tensors[0].rows
    matrix_tensor = by_name.get(MATRIX_INPUT)
    if matrix_tensor is not None and MATRIX_INPUT not in schema.names:
        return _from_one(schema, matrix_tensor, only=len(tensors) == 1)
    refuse_unknown(by_name, schema.names)
    return [_column(feature, by_name.get(feature.name), rows) for feature in schema.features]


def tensors_by_name(tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    """The tensors of a request by name.

    Raises:
        RequestError: 400, two have the same name, or their numbers of rows differ.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    if len(by_name) < len(tensors):
        raise protocol_error("", "two inputs have the same name")
    if any(tensor.rows != tensors[0].rows for tensor in tensors):
        raise protocol_error("", "all inputs need the same number of rows")
    return by_name


def refuse_unknown(by_name: dict[str, Tensor], names: Sequence[str]) -> None:
    """Refuse an input that the model does not have.

    Raises:
        RequestError: 422, naming it and those that the model has.
    """
    for name in by_name:
        if name not in names:
            message = f"Unknown input; expected one of {format_names(names)}"
            loc = ("inputs", name[:MAX_VALUE_CHARACTERS])
            raise RequestError(422, Detail(loc, message, "extra_forbidden"))


def _column(feature: Feature, tensor: Tensor | None, rows: int) -> Sequence[Any]:
    if tensor is None:
        if feature.missing:
            return [None] * rows
        raise RequestError(422, Detail(("inputs", feature.name), "Field required", "missing"))
    if tensor.shape not in {(rows,), (rows, 1)}:
        raise protocol_error(feature.name, f"shape should be [{rows}, 1], got {list(tensor.shape)}")
    if feature.is_string != (tensor.datatype == BYTES):
        needed = BYTES if feature.is_string else "a number, as FP32"
        raise protocol_error(feature.name, f"datatype should be {needed}, got {tensor.datatype}")
    return _without_nan(tensor.values)


def _from_one(schema: Schema, tensor: Tensor, *, only: bool) -> list[Sequence[Any]]:
    texts = [feature.name for feature in schema.features if feature.is_string]
    if texts or not only or tensor.datatype == BYTES:
        message = f"one input for all features needs numbers alone; inputs are {format_names(schema.names)}"
        raise protocol_error(MATRIX_INPUT, message)
    width = len(schema.names)
    if tensor.shape != (tensor.rows, width):
        raise protocol_error(
            MATRIX_INPUT, f"shape should be [rows, {width}], got {list(tensor.shape)}"
        )
    values = _without_nan(tensor.values)
    return [values[i::width] for i in range(width)]


def _without_nan(values: Sequence[Any] | npt.NDArray[Any]) -> list[Any]:
    values = values.tolist() if isinstance(values, np.ndarray) else values
    return [None if value != value else value for value in values]  # noqa: PLR0124 (NaN alone)


def _differences(current: Sequence[Feature], others: Sequence[Feature]) -> list[str]:
    """What a client of a model with the features `current` would notice of a model with others."""
    by_name = {feature.name: feature for feature in current}
    names = {feature.name for feature in others}
    found = [
        f"{difference} {', '.join(sorted(which))}"
        for difference, which in (
            ("it lacks", by_name.keys() - names),
            ("it also requires", names - by_name.keys()),
        )
        if which
    ]
    return found + [
        f"{feature.name} {difference}"
        for feature in others
        if feature.name in by_name and (difference := _stricter(by_name[feature.name], feature))
    ]


def _stricter(current: Feature, other: Feature) -> str:
    if current.kind != other.kind:
        return f"is of kind {other.kind}, not {current.kind}"
    if current.missing and not other.missing:
        return "may no longer be missing"
    if lost := set(current.categories) - set(other.categories):
        return f"no longer accepts {', '.join(sorted(lost)[:10])}"
    return ""
