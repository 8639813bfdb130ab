"""Any other task: named outputs, as the model computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.model.inputs.feature_docs import object_model
from tidegate.service.model.inputs.nested_lists import describe
from tidegate.service.model.inputs.tensors import tensor_field
from tidegate.service.model.predictions import Outputs
from tidegate.service.model.signature import Signature
from tidegate.service.model.tasks.contract import Output, Task
from tidegate.service.model.tensor_spec import DTYPES, DYNAMIC

ROWS: Final = "values"
"""The only label: every row has an answer."""


class ValuesTask(Task[Outputs]):
    """The named outputs of a model."""

    summary: ClassVar[str] = "The model's outputs for each instance"
    no_feedback: ClassVar[str] = (
        "The served model answers named outputs (task `values`), for which no true label is defined"
    )

    def __init__(self, signature: Signature, reference: Reference | None = None) -> None:
        self.outputs = tuple(
            spec.model_copy(update={"shape": (DYNAMIC, *spec.shape[1:])})
            for spec in signature.outputs
        )
        self.labels = (ROWS,)

    def from_graph(self, arrays: Sequence[npt.NDArray[Any]]) -> Outputs:
        """The outputs by name."""
        names = (output.name for output in self.outputs)
        return dict(zip(names, arrays, strict=True))

    def check(self, prediction: Outputs, rows: int) -> None:
        """Check the type and the shape of each output."""
        for spec in self.outputs:
            found = prediction[spec.name]
            shape = getattr(found, "shape", None)
            if shape is None or shape[:1] != (rows,) or not spec.fits(shape):
                shown = type(found).__name__ if shape is None else f"shape {list(shape)}"
                raise ValueError(
                    f"its output {spec.name} is a {shown} for {rows} rows, not {describe(spec)} for each row"
                )
            expected = np.dtype(object) if spec.datatype == "BYTES" else DTYPES[spec.datatype]
            if found.dtype != expected:
                raise ValueError(
                    f"its output {spec.name} has the type {found.dtype}, not {expected}"
                )

    def answers(self, prediction: Outputs) -> list[dict[str, Any]]:
        """The outputs of each row, as nested lists."""
        columns = {name: _rows(array) for name, array in prediction.items()}
        return [
            {"values": dict(zip(columns, row, strict=True))}
            for row in zip(*columns.values(), strict=True)
        ]

    def tensors(self, prediction: Outputs) -> dict[str, Output]:
        """The outputs."""
        return {**prediction}

    def counts(self, prediction: Outputs) -> list[int]:
        """The number of rows."""
        return [len(next(iter(prediction.values())))]

    def differences(self, other: Signature) -> list[str]:
        """Outputs that the other model lacks, or whose type or shape differs."""
        others = {spec.name: spec for spec in other.outputs}
        found: list[str] = []
        for spec in self.outputs:
            if spec.name not in others:
                found.append(f"it lacks the output {spec.name}")
            elif describe(others[spec.name]) != describe(spec):
                found.append(
                    f"its output {spec.name} is {describe(others[spec.name])}, not {describe(spec)}"
                )
        return found

    def answer_fields(self) -> dict[str, Any]:
        """An object with the outputs."""
        values = object_model("Values", {spec.name: tensor_field(spec) for spec in self.outputs})
        return {
            "values": (values, Field(description="Null stands for a number that is not finite"))
        }


def _rows(array: npt.NDArray[Any]) -> Sequence[Any]:
    if array.dtype == object:
        texts: list[Any] = array.tolist()
        return texts
    return np.ascontiguousarray(array)  # type: ignore[return-value]
