"""Named tensors as inputs: nested lists in an instance, or tensors of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tidegate.service.model.features import INSTANCES, MAX_DETAILS, checked_length, not_an_object
from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.inputs.feature_docs import object_model
from tidegate.service.model.inputs.matrix import refuse_unknown, tensors_by_name
from tidegate.service.model.inputs.nested_lists import (
    NotATensorError,
    describe,
    flat_array,
    nested_array,
)
from tidegate.service.model.signature import Signature
from tidegate.service.model.tensor_spec import DTYPES, DYNAMIC, Tensor, TensorSpec
from tidegate.service.request_errors import (
    Detail,
    RequestError,
    format_names,
    protocol_error,
)

MAX_EXAMPLE_VALUES: Final = 512
"""A longer example is left out of the documentation."""


@dataclass(frozen=True, slots=True)
class TensorBatch:
    """The rows of a request as an array per input, by name; the first axis is the rows."""

    arrays: Mapping[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        """The number of rows."""
        return len(next(iter(self.arrays.values())))


class TensorInputs(Inputs[TensorBatch]):
    """Named tensors that the graph takes as they are."""

    parse_in_thread: ClassVar[bool] = True
    may_not_fit: ClassVar[bool] = True

    def __init__(self, signature: Signature) -> None:
        self.tensors = tuple(
            spec.model_copy(update={"shape": (DYNAMIC, *spec.shape[1:])})
            for spec in signature.tensors
        )
        self._names = tuple(spec.name for spec in self.tensors)
        self._one_row = any(spec.shape[0] == 1 for spec in signature.tensors)

    def read(self, instances: object) -> TensorBatch:
        """Encode the nested lists of each instance."""
        rows = checked_length(instances)
        try:
            arrays = {
                spec.name: nested_array([row[spec.name] for row in rows], spec)
                for spec in self.tensors
            }
            if all(len(row) == len(self._names) for row in rows):
                return TensorBatch(arrays)
        except (KeyError, TypeError, NotATensorError):
            pass
        raise RequestError(422, *islice(self._faults(rows), MAX_DETAILS))

    def _faults(self, rows: list[Any]) -> Iterator[Detail]:
        shapes: dict[str, tuple[int, ...]] = {}
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                yield not_an_object(INSTANCES, number)
                continue
            for spec in self.tensors:
                at = (*INSTANCES, number, spec.name)
                if spec.name not in row:
                    yield Detail(at, f"Field required: {describe(spec)}", "missing")
                    continue
                try:
                    shape = nested_array([row[spec.name]], spec).shape
                except NotATensorError as error:
                    message = f"Input should be {describe(spec)}, got {error}"
                    yield Detail(at, message, "tensor_type")
                    continue
                first = shapes.setdefault(spec.name, shape)
                if shape != first:
                    message = (
                        "All instances of a request need the same shape: "
                        f"{list(first[1:])} in the first, got {list(shape[1:])}"
                    )
                    yield Detail(at, message, "tensor_shape")
            for name in row:
                if name not in self._names:
                    message = f"Unknown input; expected {format_names(self._names)}"
                    yield Detail((*INSTANCES, number, str(name)), message, "extra_forbidden")

    def read_tensors(self, tensors: Sequence[Tensor]) -> TensorBatch:
        """Take each tensor as it is, of exactly the datatype and shape of its input."""
        by_name = tensors_by_name(tensors)
        refuse_unknown(by_name, self._names)
        arrays: dict[str, npt.NDArray[Any]] = {}
        for spec in self.tensors:
            tensor = by_name.get(spec.name)
            if tensor is None:
                message = f"Field required: {spec.datatype} of shape {list(spec.shape)}"
                raise RequestError(422, Detail(("inputs", spec.name), message, "missing"))
            arrays[spec.name] = _array(spec, tensor)
        return TensorBatch(arrays)

    def feeds(self, batch: TensorBatch) -> list[dict[str, npt.NDArray[Any]]]:
        """The arrays; row by row for a graph that takes one row at a time."""
        if not self._one_row:
            return [dict(batch.arrays)]
        return [
            {name: array[row : row + 1] for name, array in batch.arrays.items()}
            for row in range(len(batch))
        ]

    def placeholder(self, size: int) -> TensorBatch:
        """One row of zeros, empty strings and False."""
        return TensorBatch({spec.name: _zeros(spec, size) for spec in self.tensors})

    def resize(self, batch: TensorBatch, rows: int) -> TensorBatch:
        """The batch with this number of rows."""
        arrays = {
            name: np.resize(array, (rows, *array.shape[1:])) for name, array in batch.arrays.items()
        }
        return TensorBatch(arrays)

    def differences(self, other: Signature) -> list[str]:
        """Inputs that the other model lacks or requires, or whose type or shape it narrows."""
        others = {spec.name: spec for spec in other.tensors}
        mine = {spec.name: spec for spec in self.tensors}
        found = [f"it lacks the input {name}" for name in sorted(mine.keys() - others.keys())]
        found += [f"it also requires {name}" for name in sorted(others.keys() - mine.keys())]
        for name in sorted(mine.keys() & others.keys()):
            other_spec, spec = others[name], mine[name]
            if other_spec.datatype != spec.datatype or not other_spec.fits(spec.shape):
                found.append(f"{name} is {describe(other_spec)}, not {describe(spec)}")
        return found

    def example(self, batch: TensorBatch) -> dict[str, Any] | None:
        """The first row."""
        if sum(array[:1].size for array in batch.arrays.values()) > MAX_EXAMPLE_VALUES:
            return None
        return {name: array[:1].tolist()[0] for name, array in batch.arrays.items()}

    def instance_type(self) -> Any:
        """An object with nested lists."""
        return object_model("Instance", {spec.name: tensor_field(spec) for spec in self.tensors})


def tensor_field(spec: TensorSpec) -> Any:
    """The annotation of the nested lists of one row of a tensor."""
    scalars: dict[str, Any] = {"O": str, "b": bool, "f": float, "i": int, "u": int}
    annotation = scalars["O" if spec.datatype == "BYTES" else DTYPES[spec.datatype].kind]
    for size in reversed(spec.shape[1:]):
        bounds = Field(min_length=1) if size == DYNAMIC else Field(min_length=size, max_length=size)
        nested: Any = list.__class_getitem__(annotation)
        annotation = Annotated[nested, bounds]
    meaning = f"{spec.description}; {describe(spec)}" if spec.description else describe(spec)
    return Annotated[annotation, Field(description=meaning)]


def _array(spec: TensorSpec, tensor: Tensor) -> npt.NDArray[Any]:
    if tensor.datatype != spec.datatype:
        raise protocol_error(
            spec.name, f"datatype should be {spec.datatype}, got {tensor.datatype}"
        )
    if not spec.fits(tensor.shape):
        raise protocol_error(
            spec.name, f"shape should be {list(spec.shape)}, got {list(tensor.shape)}"
        )
    values = tensor.values
    if not isinstance(values, np.ndarray):
        try:
            values = flat_array(list(values), spec.datatype)
        except NotATensorError as error:
            raise protocol_error(
                spec.name, f"data should be {spec.datatype} values, got {error}"
            ) from None
    return values.reshape(tensor.shape)


def _zeros(spec: TensorSpec, size: int) -> npt.NDArray[Any]:
    shape = (1, *(size if each == DYNAMIC else each for each in spec.shape[1:]))
    if spec.datatype == "BYTES":
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, DTYPES[spec.datatype])
