"""Reading and editing of ONNX graphs: any number of rows, and a classifier's probabilities as an output."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import FLOAT32_MAX
from tidegate.service.model.tensor_spec import BYTES, DTYPES, DYNAMIC, Datatype, TensorSpec

MAX_BYTES: Final = 2**31 - 1
"""Largest ONNX file: the limit of protobuf."""
MAPPED_BYTES: Final = 2**26
"""A graph of this size has its large tensors in a second file."""
MOVED_BYTES: Final = 2**10
"""What counts as large: the bytes of a smaller tensor are soon copied."""
MAX_VALUES: Final = 2**24
"""Largest number of values in one row of an input: 64 MiB as float32, more than a request may have."""
MAX_FEATURES: Final = 2**17
"""Largest number of features of an input of one axis: each has a name and a description."""
_SOURCE: Final = re.compile(r"/\S+\.(?:cc|h):\d+ .*?\)(?:::<lambda\(\)>)? (?=[A-Z])")
PROBABILITIES: Final = "tidegate_probabilities"


def read(file: Path) -> Any:
    """Read an ONNX file, with the data files that it refers to.

    Raises:
        ArtefactError: it is no ONNX file, too large, a data file is missing, or a class label is no text.
    """
    if file.stat().st_size > MAX_BYTES:
        raise ArtefactError(
            "it is larger than 2 GiB, the limit of an ONNX file: quantize it, or export a smaller model"
        )
    try:
        model = onnx.load(str(file), load_external_data=False)
    # protobuf's DecodeError has no public base class.
    except Exception as error:
        raise ArtefactError(f"it is not an ONNX file, or is incomplete: {error}") from error
    if not model.graph.output or not model.graph.node:
        raise ArtefactError("it is not an ONNX file, or is incomplete: it has no nodes")
    try:
        onnx.load_external_data_for_model(model, str(file.parent))
    # Missing files, and files outside the folder.
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise ArtefactError(
            f"its external data cannot be read: {reason}: put that file beside it, or export one file"
        ) from error
    if model.ByteSize() > MAX_BYTES:
        raise ArtefactError(
            "it is larger than 2 GiB with its external data, the limit of an ONNX file: quantize it"
        )
    for node in model.graph.node:
        tuple(_class_labels(node))  # ONNX Runtime would fail to decode its own answer
    return model


def write(graph: bytes, file: Path) -> None:
    """Write a graph, and the tensors of a large one to `FILE.data`, for replicas that start soon.

    ONNX Runtime maps that file, and copies tensors out of the first one: of 1 GiB of weights a session takes
    1.5 s of CPU instead of 3.5 s (2026-12-01, 16 products of 4096 x 4096). These 1.5 s pack the weights.
    Without that it takes 0.0 s, but predicts 8 rows in 2.3 times the time, 64 in 1.8 times, and one in 0.87;
    saved packed weights take twice the space, and are packed again all the same.
    """
    if len(graph) >= MAPPED_BYTES:
        graph = _move_tensors(graph, file.with_name(f"{file.name}.data"))
    file.write_bytes(graph)


def _move_tensors(graph: bytes, data: Path) -> bytes:
    """The graph without its large tensors, which are in the file then; all of it if it has none.

    A forest has none. Unlike `onnx.save_model` it takes no file of the current folder for this one, and
    writes none that only its owner may read: a replica may be another user.
    """
    model = onnx.load_model_from_string(graph)
    large = [each for each in model.graph.initializer if len(each.raw_data) >= MOVED_BYTES]
    if not large:
        return graph
    with data.open("wb") as file:
        for tensor in large:
            at, content = file.tell(), tensor.raw_data
            set_external_data(tensor, data.name, at, file.write(content))
            tensor.ClearField("raw_data")
    rest: bytes = model.SerializeToString()
    return rest


def run(model: Any, feed: dict[str, npt.NDArray[Any]]) -> list[Any]:
    """The outputs for one call.

    Raises:
        ArtefactError: ONNX Runtime cannot run the model: an operator, an opset or a version is unknown, or
            it fails on these inputs.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    # ONNX Runtime's exceptions have no common base.
    except Exception as error:
        raise ArtefactError(
            f"ONNX Runtime {onnxruntime.__version__} cannot run it: {_first_line(error)}: export it with an "
            "older opset (21 works), and with operators of ONNX only"
        ) from error
    try:
        outputs: list[Any] = session.run(None, feed)
    except Exception as error:
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in feed.items())
        raise ArtefactError(f"it fails on a probe of {shapes}: {_first_line(error)}") from error
    return outputs


def input_specs(model: Any) -> tuple[TensorSpec, ...]:
    """The inputs of a graph.

    Raises:
        ArtefactError: one has no shape, no axis for the rows, or a type that is not supported.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if not inputs:
        raise ArtefactError("it has no inputs")
    return tuple(_spec(value) for value in inputs)


def output_specs(model: Any, outputs: Sequence[Any], rows: int) -> tuple[TensorSpec, ...]:
    """The outputs of a graph, by what it answers to a probe of some rows.

    Raises:
        ArtefactError: one is no array with a row per row of the probe.
    """
    found: list[TensorSpec] = []
    for value, output in zip(model.graph.output, outputs, strict=True):
        if not isinstance(output, np.ndarray) or not output.ndim or len(output) != rows:
            shape = list(np.shape(output)) if isinstance(output, np.ndarray) else "of no tensor"
            raise ArtefactError(
                f"the output {value.name} has the shape {shape} for {rows} rows; its first axis should be "
                "the rows"
            )
        kind = value.type.tensor_type.elem_type
        declared = [axis.dim_value or DYNAMIC for axis in value.type.tensor_type.shape.dim]
        inner = declared[1:] if len(declared) == output.ndim else [DYNAMIC] * (output.ndim - 1)
        found.append(
            TensorSpec(
                name=value.name, datatype=_datatype(value.name, kind), shape=(DYNAMIC, *inner)
            )
        )
    return tuple(found)


def _spec(value: Any) -> TensorSpec:
    tensor = value.type.tensor_type  # empty for a sequence
    shape = [axis.dim_value if axis.dim_value > 0 else DYNAMIC for axis in tensor.shape.dim]
    if not shape:
        raise ArtefactError(
            f"the input {value.name} is no tensor with a known number of axes, the rows first: export one"
        )
    datatype = _datatype(value.name, tensor.elem_type)
    if shape[0] not in {DYNAMIC, 1}:
        raise ArtefactError(
            f"the first axis of the input {value.name} has the fixed size {shape[0]}; it is the rows: export "
            "it with a dynamic first axis (torch.onnx.export: dynamic_axes or dynamic_shapes)"
        )
    values = prod(size for size in shape[1:] if size != DYNAMIC)
    limit = MAX_FEATURES if len(shape) == 2 else MAX_VALUES
    if values > limit:
        raise ArtefactError(
            f"a row of the input {value.name} has {values:,} values; at most {limit:,} are supported: "
            "export it with smaller or dynamic axes"
        )
    return TensorSpec(name=value.name, datatype=datatype, shape=tuple(shape))


def _datatype(name: str, kind: int) -> Datatype:
    of: dict[int, str] = {TensorProto.STRING: BYTES}
    of |= {helper.np_dtype_to_tensor_dtype(dtype): each for each, dtype in DTYPES.items()}
    if kind not in of:
        known = TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else kind
        raise ArtefactError(
            f"{name} is of type {known}, which is not supported: export it as float32"
        )
    return cast("Datatype", of[kind])


def without_fixed_rows(model: Any) -> Any:
    """A copy whose inputs take any number of rows; the shapes inside are derived again."""
    free = type(model)()
    free.CopyFrom(model)
    del free.graph.value_info[:]
    for value in (*free.graph.input, *free.graph.output):
        axes = value.type.tensor_type.shape.dim
        if axes:
            axes[0].Clear()
            axes[0].dim_param = "rows"
    return free


def without_zipmap(model: Any) -> tuple[str | int, ...]:
    """Replace an output of dictionaries by the array of probabilities; returns the classes in it."""
    for node in model.graph.node:
        if node.op_type != "ZipMap":
            continue
        for value in model.graph.output:
            if value.name == node.output[0]:
                array = helper.make_tensor_value_info(
                    node.input[0], TensorProto.FLOAT, [None, None]
                )
                value.CopyFrom(array)
        classes = next(_class_labels(node), ())
        model.graph.node.remove(node)
        return classes
    return ()


def class_labels(model: Any, count: int) -> tuple[str | int, ...]:
    """The classes that a node of a classifier names, if there are as many; else empty."""
    for node in model.graph.node:
        for labels in _class_labels(node):
            if len(labels) == count:
                return labels
    return ()


def _class_labels(node: Any) -> Iterator[tuple[str | int, ...]]:
    for attribute in node.attribute:
        if attribute.name.startswith(("classlabels_", "classes_")):
            if attribute.strings:
                try:
                    yield tuple(label.decode() for label in attribute.strings)
                except UnicodeDecodeError as error:
                    raise ArtefactError(
                        f"a class label in it, {error.object!r}, is not UTF-8: export it with other labels"
                    ) from error
            elif attribute.ints:
                yield tuple(int(label) for label in attribute.ints)


def activate(model: Any, output: str, activation: str) -> str:
    """Append the softmax or the sigmoid of an output; returns the name of the probabilities."""
    graph = model.graph
    if activation == "softmax":
        graph.node.append(helper.make_node("Softmax", [output], [PROBABILITIES], axis=-1))
    else:
        one = helper.make_tensor(f"{PROBABILITIES}_one", TensorProto.FLOAT, [1], [1.0])
        shape = helper.make_tensor(f"{PROBABILITIES}_shape", TensorProto.INT64, [2], [-1, 1])
        graph.initializer.extend([one, shape])
        parts = [f"{PROBABILITIES}_{part}" for part in ("sigmoid", "second", "first")]
        graph.node.extend(
            [
                helper.make_node("Sigmoid", [output], [parts[0]]),
                helper.make_node("Reshape", [parts[0], shape.name], [parts[1]]),
                helper.make_node("Sub", [one.name, parts[1]], [parts[2]]),
                helper.make_node("Concat", [parts[2], parts[1]], [PROBABILITIES], axis=1),
            ]
        )
    graph.output.append(
        helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, [None, None])
    )
    return PROBABILITIES


def thresholds(graph: bytes, features: int) -> dict[int, list[float]]:
    """The thresholds of its tree ensembles, by the column of their input.

    Columns beyond the features come from a step before the trees, and are left out; so is what separates
    known values from missing ones, the largest float64.
    """
    found: dict[int, list[float]] = {}
    for node in onnx.load_model_from_string(graph).graph.node:
        trees = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if "nodes_values_as_tensor" in trees:
            trees["nodes_values"] = numpy_helper.to_array(trees["nodes_values_as_tensor"])
        columns, modes, values = (
            trees.get(f"nodes_{part}", ()) for part in ("featureids", "modes", "values")
        )
        for column, mode, value in zip(columns, modes, values, strict=True):
            if mode != b"LEAF" and column < features and abs(value) <= FLOAT32_MAX:
                found.setdefault(column, []).append(value)
    return found


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    # [ONNXRuntimeError] : 1 : FAIL : <place in its source> <reason>
    return _SOURCE.sub("", text).split(" : ", 3)[-1].strip()[:300]
