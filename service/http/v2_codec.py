"""The outputs that a request of the Open Inference Protocol names, and its response."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson

from tidegate.service.http.body_types import InferenceRequest
from tidegate.service.http.response import Answer
from tidegate.service.http.v2_tensors import pack
from tidegate.service.model.loaded_model import Model
from tidegate.service.model.tasks.contract import Output
from tidegate.service.model.tensor_spec import BYTES
from tidegate.service.request_errors import PROTOCOL, Detail, RequestError, format_value
from tidegate.service.serving.model_service import BatchResult

HEADER_LENGTH: Final = "inference-header-content-length"
BINARY: Final = (b"content-type", b"application/octet-stream")
ENCODINGS: Final[dict[bytes, Callable[[bytes, int], bytes]]] = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
}
PREDICTION_ID: Final = "prediction_id"
"""An output of the service, not of the model: returned only if the request names it."""


def read_outputs(model: Model, request: InferenceRequest) -> dict[str, bool]:
    """The requested outputs, and whether in binary format; all of the model if the request names none.

    Raises:
        RequestError: 400, naming the unknown output.
    """
    binary = request.parameters is not None and request.parameters.binary_data_output is True
    names = [output.name for output in model.task.outputs]
    if request.outputs is None:
        return dict.fromkeys(names, binary)
    known = [*names, *([] if model.task.no_feedback else [PREDICTION_ID])]
    found: dict[str, bool] = {}
    for output in request.outputs:
        name, options = output.name, output.parameters
        if name not in known:
            message = f"outputs are {', '.join(known)}; got {format_value(name)}"
            raise RequestError(400, Detail(("outputs",), message, PROTOCOL))
        if name in found:
            message = f"{name} is named twice; name each output once"
            raise RequestError(400, Detail(("outputs",), message, PROTOCOL))
        own = None if options is None else options.binary_data
        found[name] = binary if own is None else own
    return found


def write_response(
    model: Model,
    request_id: str | None,
    result: BatchResult,
    outputs: Mapping[str, bool],
    *,
    prediction_ids: Sequence[str],
) -> Answer:
    """The response: JSON, then the requested binary tensors. Ids are given only if they were requested."""
    values: dict[str, Output] = {
        **model.task.tensors(result.prediction),
        PREDICTION_ID: list(prediction_ids),
    }
    types = {output.name: output.datatype for output in model.task.outputs}
    described: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for name, binary in outputs.items():
        value = values[name]
        entry: dict[str, Any] = {
            "name": name,
            "datatype": types.get(name, BYTES),
            "shape": list(np.shape(value)),
        }
        if binary:
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
    if not blobs:
        return Answer(text)
    headers = [BINARY, (HEADER_LENGTH.encode(), b"%d" % len(text))]
    return Answer(b"".join((text, *blobs)), headers=headers)


async def compress(answer: Answer, accepted: bytes) -> None:
    """Compress a response for a client whose `Accept-Encoding` is only gzip or only deflate.

    In a thread: 1 MB takes 25 ms.
    """
    # `gzip, deflate` is the default of most clients, so it is not a request for compression.
    name = accepted.partition(b";")[0].strip().lower()
    if name in ENCODINGS and b"," not in accepted:
        answer.content = await asyncio.to_thread(ENCODINGS[name], answer.content, 1)
        answer.headers = [*answer.headers, (b"content-encoding", name)]
