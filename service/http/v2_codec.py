"""Converts tensors of the Open Inference Protocol to a matrix, and predictions to tensors."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
from starlette.responses import Response

from tidegate.service.http.v2_tensors import BYTES, Tensor, pack, protocol_error
from tidegate.service.model.features import Feature, Matrix, Schema
from tidegate.service.model.loaded_model import Model
from tidegate.service.model.predictor import MATRIX_INPUT
from tidegate.service.model.work import WORKS, Work
from tidegate.service.request_errors import (
    MAX_VALUE_CHARACTERS,
    Detail,
    RequestError,
    format_names,
    format_value,
)
from tidegate.service.serving.replica import BatchResult

HEADER_LENGTH: Final = "inference-header-content-length"
PREDICTION_ID: Final = "prediction_id"
"""An output of the service, not of the model: returned only if the request names it."""

PROBABILITIES: Final = "probabilities"
MAX_VALUES: Final = 65_536
"""Largest number of values in a response: 1.3 MB of JSON, 5 ms of the event loop."""


@dataclass(frozen=True, slots=True)
class Output:
    """A requested output, and whether in binary format."""

    name: str
    binary: bool


def to_matrix(schema: Schema, tensors: Sequence[Tensor]) -> Matrix:
    """Encode input tensors as a matrix. NaN in a tensor is a missing value.

    Raises:
        RequestError: 400 or 422, naming the invalid input.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    if len(by_name) < len(tensors):
        raise protocol_error("", "two inputs have the same name")
    rows = tensors[0].rows
    if any(tensor.rows != rows for tensor in tensors):
        raise protocol_error("", "all inputs need the same number of rows")
    matrix_tensor = by_name.get(MATRIX_INPUT)
    if matrix_tensor is not None and MATRIX_INPUT not in schema.names:
        return _from_one(schema, matrix_tensor, only=len(tensors) == 1)
    for name in by_name:
        if name not in schema.names:
            message = f"Unknown input; expected one of {format_names(schema.names)}"
            loc = ("inputs", name[:MAX_VALUE_CHARACTERS])
            raise RequestError(422, Detail(loc, message, "extra_forbidden"))
    columns = [_column(feature, by_name.get(feature.name), rows) for feature in schema.features]
    return schema.encode_columns(columns, ("inputs",))


def _column(feature: Feature, tensor: Tensor | None, rows: int) -> Sequence[Any]:
    if tensor is None:
        if feature.missing:
            return [None] * rows
        raise RequestError(422, Detail(("inputs", feature.name), "Field required", "missing"))
    if tensor.shape not in {(rows,), (rows, 1)}:
        raise protocol_error(feature.name, f"shape should be [{rows}, 1], got {list(tensor.shape)}")
    if (feature.kind == "category") != (tensor.datatype == BYTES):
        needed = BYTES if feature.kind == "category" else "a number, as FP32"
        raise protocol_error(feature.name, f"datatype should be {needed}, got {tensor.datatype}")
    return _without_nan(tensor.values)


def _from_one(schema: Schema, tensor: Tensor, *, only: bool) -> Matrix:
    texts = [feature.name for feature in schema.features if feature.kind == "category"]
    if texts or not only or tensor.datatype == BYTES:
        message = f"one input for all features needs numbers alone; inputs are {format_names(schema.names)}"
        raise protocol_error(MATRIX_INPUT, message)
    width = len(schema.names)
    if tensor.shape != (tensor.rows, width):
        raise protocol_error(
            MATRIX_INPUT, f"shape should be [rows, {width}], got {list(tensor.shape)}"
        )
    values = _without_nan(tensor.values)
    return schema.encode_columns([values[i::width] for i in range(width)], ("inputs",))


def _without_nan(values: Sequence[Any]) -> list[Any]:
    return [None if value != value else value for value in values]  # noqa: PLR0124 (NaN alone)


def datatype_of(feature: Feature) -> str:
    """The datatype of a feature in the protocol."""
    if feature.kind == "category":
        return BYTES
    # An integer type has no NaN for a missing value.
    return "INT64" if feature.kind == "integer" and not feature.missing else "FP32"


def outputs_of(model: Model) -> list[tuple[str, str, list[int]]]:
    """Name, datatype and shape of each output: the label, its probability, the probability of each class."""
    texts = any(isinstance(label, str) for label in model.manifest.classes)
    return [
        ("label", BYTES if texts else "INT64", [-1]),
        ("probability", "FP32", [-1]),
        (PROBABILITIES, "FP32", [-1, len(model.manifest.classes)]),
    ]


def read_work(parameters: object) -> Work | None:
    """The kind of a request, from its parameters.

    Raises:
        RequestError: 400 or 422, the kind is unknown.
    """
    if not isinstance(parameters, dict):
        raise RequestError(400, Detail(("parameters",), "should be an object", "protocol"))
    work = parameters.get("work")
    if work is None or work in WORKS:
        return work
    message = f"should be one of {', '.join(WORKS)}"
    raise RequestError(422, Detail(("parameters", "work"), message, "literal_error"))


def read_outputs(model: Model, outputs: object, parameters: Mapping[str, Any]) -> list[Output]:
    """The requested outputs; all outputs of the model if the request names none.

    Raises:
        RequestError: 400, naming the unsupported output or extension.
    """
    binary = parameters.get("binary_data_output") is True
    names = [name for name, _, _ in outputs_of(model)]
    if outputs is None:
        return [Output(name, binary) for name in names]
    if not isinstance(outputs, list):
        raise RequestError(400, Detail(("outputs",), "should be a list", "protocol"))
    found: list[Output] = []
    for entry in outputs:
        name = entry.get("name") if isinstance(entry, dict) else None
        if name not in (*names, PREDICTION_ID):
            message = f"outputs are {', '.join(names)}, {PREDICTION_ID}; got {format_value(name)}"
            raise RequestError(400, Detail(("outputs",), message, "protocol"))
        if any(output.name == name for output in found):
            message = f"{name} is named twice; name each output once"
            raise RequestError(400, Detail(("outputs",), message, "protocol"))
        options = entry.get("parameters") or {}
        if not isinstance(options, dict) or "classification" in options:
            message = (
                f"{name}: the classification extension is not supported; request probabilities"
            )
            raise RequestError(400, Detail(("outputs",), message, "protocol"))
        found.append(Output(name, options.get("binary_data", binary) is True))
    return found


def check_size(model: Model, outputs: Sequence[Output], rows: int) -> None:
    """Refuse a request whose response would be too large, before prediction.

    Raises:
        RequestError: 422, naming the largest accepted number of rows.
    """
    width = sum(len(model.labels) if output.name == PROBABILITIES else 1 for output in outputs)
    if rows * width > MAX_VALUES:
        max_rows = MAX_VALUES // width
        message = (
            f"{rows} rows of these outputs are {rows * width} values; at most {MAX_VALUES} are returned in "
            f"one response: send at most {max_rows} rows, or name outputs without {PROBABILITIES}"
        )
        raise RequestError(422, Detail(("outputs",), message, "too_long"))


def write_response(
    model: Model,
    request_id: object,
    result: BatchResult,
    outputs: list[Output],
    *,
    prediction_ids: Sequence[str],
) -> Response:
    """The response: JSON, followed by the requested binary tensors.

    Args:
        model: the model.
        request_id: returned if it is a string.
        result: the prediction.
        outputs: the requested outputs.
        prediction_ids: the prediction id of each row, if requested.
    """
    classes = model.manifest.classes
    values: dict[str, list[Any] | npt.NDArray[Any]] = {
        "label": [classes[position] for position in result.prediction.labels],
        "probability": result.prediction.confidence,
        PROBABILITIES: result.prediction.probabilities.astype(np.float32, copy=False),
        PREDICTION_ID: list(prediction_ids),
    }
    types = {name: datatype for name, datatype, _ in outputs_of(model)} | {PREDICTION_ID: BYTES}
    described: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for output in outputs:
        value = values[output.name]
        entry: dict[str, Any] = {
            "name": output.name,
            "datatype": types[output.name],
            "shape": list(np.shape(value)),
        }
        if output.binary:
            blobs.append(pack(value, types[output.name]))
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            entry["data"] = value if isinstance(value, list) else value.ravel().tolist()
        described.append(entry)
    head: dict[str, Any] = {
        "model_name": model.manifest.name,
        "model_version": model.manifest.version,
        "parameters": {"device": result.device, "work": result.work},
        "outputs": described,
    }
    if isinstance(request_id, str):
        head["id"] = request_id
    text = orjson.dumps(head)
    headers = {"content-type": "application/json"}
    if blobs:
        headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(text))}
    return Response(b"".join((text, *blobs)), headers=headers)


async def compress(response: Response, accepted: str) -> None:
    """Compress a response for a client whose `Accept-Encoding` is only gzip or only deflate.

    In a thread: 1 MB takes 25 ms.
    """
    names = {entry.partition(";")[0].strip().lower() for entry in accepted.split(",")}
    # `gzip, deflate` is the default of most clients, so it is not a request for compression.
    for name, encode in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        if names == {name}:
            response.body = await asyncio.to_thread(encode, response.body, 1)
            response.headers["content-encoding"] = name
            response.headers["content-length"] = str(len(response.body))
