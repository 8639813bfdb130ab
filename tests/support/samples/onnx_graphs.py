"""Small ONNX graphs, as any framework writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tidegate.service.model.artefact import Artefact
from tidegate.service.model.onnx_predictor import OnnxPredictor
from tidegate.service.model.predictions import Classification

FLOAT = TensorProto.FLOAT
RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.normal(size=(4, 3)).astype(np.float32)
WEIGHT = RANDOM.normal(size=(4, 1)).astype(np.float32)


def make_model(
    nodes: Sequence[Any],
    inputs: Sequence[tuple[str, int, Any]],
    outputs: Sequence[tuple[str, int, Any]],
    constants: Mapping[str, Any] | None = None,
    *,
    opset: int = 21,
    ir_version: int = 10,
) -> Any:
    """A model; inputs and outputs are (name, type, shape)."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )


def linear(
    weights: Any = WEIGHT,
    *,
    rows: Any = "rows",
    kind: int = FLOAT,
    name: str = "x",
    **versions: int,
) -> Any:
    """y = x · weights."""
    width, count = weights.shape
    return make_model(
        [helper.make_node("MatMul", [name, "weights"], ["y"])],
        [(name, kind, [rows, width])],
        [("y", kind, [rows, count])],
        {"weights": weights.astype(helper.tensor_dtype_to_np_dtype(kind))},
        **versions,
    )


def one_node(operator: str, shape: Any, kind: int = FLOAT, **attributes: Any) -> Any:
    """y = operator(x), with both of the same shape and type."""
    node = helper.make_node(operator, ["x"], ["y"], **attributes)
    return make_model([node], [("x", kind, shape)], [("y", kind, shape)])


def values_of(found: Artefact, rows: Any) -> Any:
    """What the graph of an artefact predicts: probabilities of [rows, classes], or values of [rows]."""
    graph = (found.path / "model.onnx").read_bytes()
    prediction = OnnxPredictor(graph, found.manifest).predict(np.asarray(rows, dtype=np.float32))
    if isinstance(prediction, Classification):
        return prediction.probabilities
    return prediction
