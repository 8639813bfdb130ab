"""The class of inputs that a signature names."""

from __future__ import annotations

from typing import Any, Final

from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.inputs.matrix import ColumnInputs, MatrixInputs
from tidegate.service.model.inputs.rows import RowInputs
from tidegate.service.model.inputs.tensors import TensorInputs
from tidegate.service.model.signature import InputName, Signature

INPUTS: Final[dict[InputName, type[Inputs[Any]]]] = {
    "matrix": MatrixInputs,
    "columns": ColumnInputs,
    "tensors": TensorInputs,
    "rows": RowInputs,
}


def make_inputs(signature: Signature) -> Inputs[Any]:
    """The inputs of a model."""
    return INPUTS[signature.input](signature)
