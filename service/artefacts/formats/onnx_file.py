"""ONNX files from any framework: served as they are, with one form of inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.artefacts.source_model import FileFormat, SourceModel
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature
from tidegate.service.model.signature import InputName, Signature
from tidegate.service.model.tensor_spec import DTYPES, DYNAMIC, TensorSpec

ROWS: Final = 2
"""Rows of a probe: more than one, to see which axis they are."""
DYNAMIC_SIZE: Final = 8
"""Size of a dynamic axis in a probe."""
FLOATS: Final = frozenset({"FP32", "FP64", "FP16"})


def open_file(file: Path, schema: ModelSchema) -> SourceModel:
    """Read an ONNX file, find out what it takes and answers, and run it once.

    Raises:
        ArtefactError: it cannot be read or run, or does not fit the schema.
    """
    from tidegate.service.artefacts import onnx_graph

    model = onnx_graph.read(file)
    classes = onnx_graph.without_zipmap(model)
    model = _with_any_rows(model)
    specs = onnx_graph.input_specs(model)
    layout, features = _layout(specs, schema)
    rows = 1 if any(spec.shape[0] == 1 for spec in specs) else ROWS
    outputs = onnx_graph.run(model, {spec.name: _sample(spec, rows, features) for spec in specs})
    answers = _answers(model, outputs, rows, classes, schema)
    graph: bytes = model.SerializeToString()
    return SourceModel(
        description=f"ONNX model of {model.producer_name or 'unknown origin'}",
        signature=Signature(
            input=layout,
            datatype="FP64" if any(spec.datatype == "FP64" for spec in specs) else "FP32",
            features=features,
            tensors=specs if layout == "tensors" else (),
            **answers,
        ),
        to_onnx=lambda _, __: graph,
        predict=None,
        named=layout == "columns",
    )


def _with_any_rows(model: Any) -> Any:
    """The model with a dynamic first axis where it is fixed, if it then predicts the same; else as it is."""
    from tidegate.service.artefacts import onnx_graph

    sizes = {
        axis.dim_value
        for value in model.graph.input
        for axis in value.type.tensor_type.shape.dim[:1]
        if axis.dim_value > 0
    }
    if not sizes:
        return model
    if len(sizes) > 1:
        onnx_graph.input_specs(model)  # says which one is not the rows
        return model
    free = onnx_graph.without_fixed_rows(model)
    (fixed,) = sizes
    try:
        specs = onnx_graph.input_specs(free)
        feed = {spec.name: _sample(spec, 2 * fixed) for spec in specs}
        whole = onnx_graph.run(free, feed)
        halves = [
            onnx_graph.run(model, {name: half[part] for name, half in feed.items()})
            for part in (slice(0, fixed), slice(fixed, 2 * fixed))
        ]
    except ArtefactError:
        return model
    for output, first, second in zip(whole, *halves, strict=True):
        both = np.concatenate([first, second]) if np.ndim(first) else first
        if np.shape(output) != np.shape(both) or not _close(output, both):
            return model
    return free


def _close(one: Any, other: Any) -> bool:
    if one.dtype.kind in "OSU":
        return bool((one == other).all())
    return bool(np.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True))


def _layout(
    inputs: Sequence[TensorSpec], schema: ModelSchema
) -> tuple[InputName, tuple[Feature, ...]]:
    """How requests give the inputs: as features where the graph has one value per feature."""
    named = {feature.name: feature for feature in schema.features}
    first = inputs[0]
    if len(inputs) == 1 and len(first.shape) == 2 and first.datatype in FLOATS:
        width = first.shape[1] if first.shape[1] != DYNAMIC else len(schema.features)
        if width and first.shape[0] == DYNAMIC:
            return "matrix", tuple(Feature(name=f"f{i}") for i in range(width))
    is_column = all(
        spec.shape == (DYNAMIC, 1)
        and spec.datatype != "BOOL"
        and (spec.datatype != "BYTES" or (spec.name in named and named[spec.name].categories))
        for spec in inputs
    )
    if not is_column:
        return "tensors", ()
    return "columns", tuple(_column(spec, named) for spec in inputs)


def _column(spec: TensorSpec, named: dict[str, Any]) -> Feature:
    if spec.datatype == "BYTES":
        return Feature(
            name=spec.name, kind="category", categories=tuple(named[spec.name].categories)
        )
    return Feature(name=spec.name, kind="number" if spec.datatype in FLOATS else "integer")


def _sample(spec: TensorSpec, rows: int, features: Sequence[Feature] = ()) -> npt.NDArray[Any]:
    """A tensor of small values, which are valid as numbers, as codes and as token ids."""
    sizes = [
        (len(features) or DYNAMIC_SIZE) if size == DYNAMIC else size for size in spec.shape[1:]
    ]
    shape = (rows, *sizes)
    if spec.datatype == "BYTES":
        texts = {feature.name: feature.categories[0] for feature in features if feature.categories}
        return np.full(shape, texts.get(spec.name, "a"), dtype=object)
    random = np.random.default_rng(0)
    if spec.datatype in FLOATS:
        return random.random(shape).astype(DTYPES[spec.datatype])
    return random.integers(0, 2, size=shape).astype(DTYPES[spec.datatype])


def _answers(
    model: Any,
    outputs: Sequence[Any],
    rows: int,
    classes: Sequence[str | int],
    schema: ModelSchema,
) -> dict[str, Any]:
    """The fields of the signature about what the model answers."""
    from tidegate.service.artefacts import onnx_graph

    names = [value.name for value in model.graph.output]
    if schema.output is not None and schema.output not in names:
        raise ArtefactError(
            f"`output` is {schema.output} in the schema file; the outputs are {', '.join(names)}"
        )
    candidate = _candidate(names, outputs, schema)
    task = schema.task or _task(outputs, candidate, schema)
    if task not in {"classification", "regression", "values"}:
        raise ArtefactError(f"the task {task} is not read from an ONNX file")
    if task == "values":
        return {"task": task, "outputs": onnx_graph.output_specs(model, outputs, rows)}
    if candidate is None:
        raise ArtefactError(
            f"`task` is {task} in the schema file, and it is unclear which of the outputs "
            f"{', '.join(names)} it is about: name it as `output`"
        )
    answer = outputs[candidate]
    is_float = isinstance(answer, np.ndarray) and answer.dtype.kind == "f"
    if not is_float or answer.shape[:1] != (rows,):
        raise ArtefactError(
            f"the output {names[candidate]} has no floating-point number per row: set `output` or `task` in "
            "a schema.toml beside the file"
        )
    if task == "regression":
        if answer.shape not in {(rows,), (rows, 1)}:
            raise ArtefactError(
                f"`task` is regression in the schema file; the output {names[candidate]} has the shape "
                f'{list(answer.shape)} for {rows} rows: set task = "values"'
            )
        return {"task": task, "target": schema.target, "output": names[candidate]}
    return _classification(model, names[candidate], answer, classes, schema)


def _candidate(names: Sequence[str], outputs: Sequence[Any], schema: ModelSchema) -> int | None:
    """The position of the output with the probabilities or the values; None if it is not clear."""
    if schema.output is not None:
        return names.index(schema.output)
    if len(outputs) == 1:
        return 0
    # A classifier's label and probabilities.
    if len(outputs) == 2 and _is_label(outputs[0]) and _is_matrix(outputs[1]):
        return 1
    return None


def _task(outputs: Sequence[Any], candidate: int | None, schema: ModelSchema) -> str:
    if candidate is None:
        return "values"
    answer = outputs[candidate]
    if schema.classes or (len(outputs) == 2 and _is_label(outputs[0]) and _is_matrix(answer)):
        return "classification"
    is_float = isinstance(answer, np.ndarray) and answer.dtype.kind == "f"
    if is_float and (answer.ndim == 1 or (answer.ndim == 2 and answer.shape[1] == 1)):
        return "regression"
    return "values"


def _is_label(output: Any) -> bool:
    return isinstance(output, np.ndarray) and output.ndim <= 2 and output.dtype.kind in "iuOSU"


def _is_matrix(output: Any) -> bool:
    return (
        isinstance(output, np.ndarray)
        and output.ndim == 2
        and output.dtype.kind == "f"
        and output.shape[1] > 1
    )


def _classification(
    model: Any, name: str, answer: npt.NDArray[Any], found: Sequence[str | int], schema: ModelSchema
) -> dict[str, Any]:
    from tidegate.service.artefacts import onnx_graph

    is_single = schema.activation == "sigmoid"
    width = 2 if is_single else (answer.shape[1] if answer.ndim == 2 else 1)
    classes = schema.classes or found or onnx_graph.class_labels(model, width) or list(range(width))
    expected = (len(answer), 1) if is_single else (len(answer), len(classes))
    shapes = {expected, (len(answer),)} if is_single else {expected}
    if answer.shape not in shapes or len(classes) < 2 or (is_single and len(classes) != 2):
        raise ArtefactError(
            f"the output {name} has the shape {list(answer.shape)} for {len(answer)} rows, which does not "
            f"fit {len(classes)} `classes`: [rows, classes], or [rows, 1] with two classes and "
            'activation = "sigmoid"'
        )
    if schema.activation:
        name = onnx_graph.activate(model, name, schema.activation)
    elif not _are_probabilities(answer):
        raise ArtefactError(
            f"the output {name} is not probabilities: they should be 0 to 1 with the sum 1 per row: set "
            'activation = "softmax" in a schema.toml beside the file if it has logits'
        )
    return {"classes": tuple(classes), "output": name}


def _are_probabilities(answer: npt.NDArray[Any]) -> bool:
    return bool((answer >= -1e-6).all() and np.allclose(answer.sum(axis=1), 1.0, rtol=0, atol=1e-3))


FORMAT = FileFormat(
    title="ONNX",
    suffixes=(".onnx",),
    accepts="a model of any framework, as .onnx",
    open=open_file,
    original="",  # the artefact's graph is the model
)
