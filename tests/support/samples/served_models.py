"""Artefacts of models that are no classifiers of features: a regressor, and graphs of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

from tidegate.monitoring.counting.reference import Reference
from tidegate.monitoring.counting.residuals import calibrate_residuals
from tidegate.service.artefacts.reference import build_reference
from tidegate.service.model.artefact import ONNX, REFERENCE, SAMPLES, Manifest, write_manifest
from tidegate.service.model.features import Feature
from tidegate.service.model.signature import Target
from tidegate.service.model.tensor_spec import DTYPES, TensorSpec

ONNX_TYPES = {
    **{name: helper.np_dtype_to_tensor_dtype(dtype) for name, dtype in DTYPES.items()},
    "BYTES": TensorProto.STRING,
}
NAMES = ("age", "bmi", "bp")
TARGET = Target(name="progression", unit="points", description="Progression after one year")


def write_regressor(
    folder: Path, *, calibrated: bool = True, target: Target = TARGET, seed: int = 0
) -> Manifest:
    """A linear regression of three features of the diabetes data set, converted by skl2onnx."""
    data = load_diabetes(as_frame=True)
    rows = data.data[list(NAMES)].to_numpy(np.float32)
    truth = data.target.to_numpy(np.float64)
    fitted = np.random.default_rng(seed).permutation(len(rows))[: len(rows) // 2]
    held_out = np.setdiff1d(np.arange(len(rows)), fitted)
    model = LinearRegression().fit(rows[fitted], truth[fitted])
    features = [Feature(name=name, example=0.01) for name in NAMES]
    values = model.predict(rows[held_out])
    reference = build_reference(
        features,
        rows,
        values,
        residuals=calibrate_residuals(values, truth[held_out]) if calibrated else None,
    )
    instances = [dict(zip(NAMES, map(float, row), strict=True)) for row in rows[:40]]
    return write_artefact(
        folder,
        to_onnx(model, rows[:1]).SerializeToString(),
        instances,
        reference,
        name="progression",
        task="regression",
        features=tuple(features),
        target=target,
    )


def write_tensor_model(folder: Path, *, samples: bool = True) -> Manifest:
    """A graph of tensors: an image, any number of tokens, a name and a flag.

    Its outputs: `mean` of the image's rows, `tokens` times two, the `name`, and `flag` negated.
    """
    inputs = (
        TensorSpec(name="image", datatype="FP32", shape=(-1, 2, 3), description="A tiny image"),
        TensorSpec(name="tokens", datatype="INT64", shape=(-1, -1)),
        TensorSpec(name="name", datatype="BYTES", shape=(-1,)),
        TensorSpec(name="flag", datatype="BOOL", shape=(-1, 1)),
    )
    outputs = (
        TensorSpec(name="mean", datatype="FP32", shape=(-1, 2)),
        TensorSpec(name="doubled", datatype="INT64", shape=(-1, -1)),
        TensorSpec(name="same_name", datatype="BYTES", shape=(-1,)),
        TensorSpec(name="not_flag", datatype="BOOL", shape=(-1, 1)),
    )
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0),
        helper.make_node("Add", ["tokens", "tokens"], ["doubled"]),
        helper.make_node("Identity", ["name"], ["same_name"]),
        helper.make_node("Not", ["flag"], ["not_flag"]),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [2])
    instances = [
        {
            "image": [[row, 1.0, 2.0], [3.0, 4.0, 5.0]],
            "tokens": [row, 7],
            "name": f"row {row}",
            "flag": [row % 2 == 0],
        }
        for row in range(4)
    ]
    return write_artefact(
        folder,
        graph_of(nodes, inputs, outputs, [axes]),
        instances if samples else [],
        Reference(samples=0, features=()),
        name="scene",
        task="values",
        input="tensors",
        tensors=inputs,
        outputs=outputs,
    )


def write_image_classifier(folder: Path, *, rows: int = -1, size: int = 2) -> Manifest:
    """A classifier of images: the softmax of their pixels' sums, with three classes.

    Args:
        folder: where to write it.
        rows: the first axis of the graph; 1 for one that takes one image at a time.
        size: the height of an image, or -1 for any.
    """
    image = TensorSpec(name="image", datatype="FP32", shape=(rows, size, 3))
    scores = TensorSpec(name="scores", datatype="FP32", shape=(rows, 3))
    nodes = [
        helper.make_node("ReduceSum", ["image", "axes"], ["sums"], keepdims=0),
        helper.make_node("Softmax", ["sums"], ["scores"], axis=1),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    return write_artefact(
        folder,
        graph_of(nodes, [image], [scores], [axes]),
        [],
        Reference(samples=0, features=()),
        name="colours",
        input="tensors",
        tensors=(image,),
        classes=("red", "green", "blue"),
        output="scores",
    )


def graph_of(
    nodes: Sequence[Any],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    constants: Sequence[Any] = (),
) -> bytes:
    """The content of an ONNX file."""
    graph = helper.make_graph(
        nodes, "graph", [_info(t) for t in inputs], [_info(t) for t in outputs], constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def write_artefact(
    folder: Path,
    graph: bytes,
    instances: Sequence[dict[str, Any]],
    reference: Reference,
    **fields: Any,
) -> Manifest:
    """An artefact folder with a graph."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ONNX).write_bytes(graph)
    (folder / REFERENCE).write_text(reference.model_dump_json())
    if instances:
        (folder / SAMPLES).write_bytes(b"\n".join(map(orjson.dumps, instances)))
    return write_manifest(folder, inputs="sha256:0", **fields)


def _info(spec: TensorSpec) -> Any:
    shape = [None if size == -1 else size for size in spec.shape]
    return helper.make_tensor_value_info(spec.name, ONNX_TYPES[spec.datatype], shape)
