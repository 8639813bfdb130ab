"""The outputs that a request of the Open Inference Protocol names, and its response."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from starlette.responses import Response

from tidegate.service.http.body_types import InferenceRequest
from tidegate.service.http.v2_tensors import pack
from tidegate.service.model.loaded_model import Model
from tidegate.service.model.tasks.contract import Output as Values
from tidegate.service.model.tensor_spec import BYTES
from tidegate.service.request_errors import PROTOCOL, Detail, RequestError, format_value
from tidegate.service.serving.model_service import BatchResult

HEADER_LENGTH: Final = "inference-header-content-length"
PREDICTION_ID: Final = "prediction_id"
"""An output of the service, not of the model: returned only if the request names it."""


@dataclass(frozen=True, slots=True)
class Output:
    """A requested output, and whether in binary format."""

    name: str
    binary: bool


def read_outputs(model: Model, request: InferenceRequest) -> list[Output]:
    """The requested outputs; all outputs of the model if the request names none.

    Raises:
        RequestError: 400, naming the unknown output.
    """
    binary = request.parameters is not None and request.parameters.binary_data_output is True
    names = [output.name for output in model.task.outputs]
    if request.outputs is None:
        return [Output(name, binary) for name in names]
    known = [*names, *([] if model.task.no_feedback else [PREDICTION_ID])]
    found: dict[str, Output] = {}
    for output in request.outputs:
        name, options = output.name, output.parameters
        if name not in known:
            message = f"outputs are {', '.join(known)}; got {format_value(name)}"
            raise RequestError(400, Detail(("outputs",), message, PROTOCOL))
        if name in found:
            message = f"{name} is named twice; name each output once"
            raise RequestError(400, Detail(("outputs",), message, PROTOCOL))
        own = None if options is None else options.binary_data
        found[name] = Output(name, binary if own is None else own)
    return [*found.values()]


def write_response(
    model: Model,
    request_id: str | None,
    result: BatchResult,
    outputs: list[Output],
    *,
    prediction_ids: Sequence[str],
) -> Response:
    """The response: JSON, followed by the requested binary tensors.

    Args:
        model: the model.
        request_id: returned if it has one.
        result: the prediction.
        outputs: the requested outputs.
        prediction_ids: the prediction id of each row, if requested.
    """
    values: dict[str, Values] = {
        **model.task.tensors(result.prediction),
        PREDICTION_ID: list(prediction_ids),
    }
    types = {output.name: output.datatype for output in model.task.outputs}
    described: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for output in outputs:
        value = values[output.name]
        entry: dict[str, Any] = {
            "name": output.name,
            "datatype": types.get(output.name, BYTES),
            "shape": list(np.shape(value)),
        }
        if output.binary:
            blobs.append(pack(value, entry["datatype"]))
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            entry["data"] = np.ravel(value).tolist() if isinstance(value, np.ndarray) else value
        described.append(entry)
    head: dict[str, Any] = {
        "model_name": model.manifest.name,
        "model_version": model.manifest.version,
        "parameters": {"device": result.device, "work": result.work},
        "outputs": described,
    }
    if request_id is not None:
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
