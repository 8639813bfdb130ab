"""The Open Inference Protocol, version 2, over REST, as the clients of Triton and KServe use it.

Each feature is an input of shape [rows, 1] (or [rows]) by its own name. A model with only numeric features
also accepts one input `features` of shape [rows, features]. The inputs of a model of tensors are those of its
graph.

Feedback needs prediction ids, which the protocol does not define. They are an output that a client must
request by name; other clients get responses as the protocol defines them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope

from tidegate.service import VERSION
from tidegate.service.http.body import headers_of, in_thread_if_long, parse_json, read_body
from tidegate.service.http.body_types import UNSUPPORTED, InferenceRequest, validated
from tidegate.service.http.errors import PREFIX, Endpoint
from tidegate.service.http.response import (
    Answer,
    check_answer_size,
    check_row_count,
    make_prediction_ids,
)
from tidegate.service.http.v2_codec import (
    HEADER_LENGTH,
    PREDICTION_ID,
    compress,
    read_outputs,
    write_response,
)
from tidegate.service.http.v2_tensors import read_tensors, split_body
from tidegate.service.model.loaded_model import Model
from tidegate.service.model.tensor_spec import BYTES, TensorSpec
from tidegate.service.request_errors import PROTOCOL, Detail, RequestError
from tidegate.service.serving.model_service import ModelService
from tidegate.telemetry import span

SHOWN: Final = {"name", "datatype", "shape"}


class InferenceV2:
    """The endpoints of the protocol, for one model."""

    def __init__(self, service: ModelService) -> None:
        self._service = service
        self.infer: Final = Endpoint(self._infer)

    def routes(self) -> list[BaseRoute]:
        """The routes of an application."""
        paths: list[tuple[str, Any, str]] = [
            ("", self.server, "GET"),
            ("/health/live", self.live, "GET"),
            ("/health/ready", self.ready, "GET"),
            ("/models/stats", self.stats, "GET"),
            ("/repository/index", self.index, "POST"),
            ("/repository/models/{name}/load", self.fixed, "POST"),
            ("/repository/models/{name}/unload", self.fixed, "POST"),
        ]
        for kind in ("systemsharedmemory", "cudasharedmemory"):
            path = f"/{kind}/{{call:path}}"
            paths += [(path, self.no_shared_memory, method) for method in ("GET", "POST")]
        for model in ("/models/{name}", "/models/{name}/versions/{version}"):
            paths += [
                (model, self.metadata, "GET"),
                (f"{model}/ready", self.model_ready, "GET"),
                (f"{model}/config", self.config, "GET"),
                (f"{model}/stats", self.stats, "GET"),
                (f"{model}/infer", self.infer, "POST"),
            ]
        return [Route(PREFIX + path, call, methods=[method]) for path, call, method in paths]

    async def server(self, _: Request) -> Response:
        """The server and its extensions."""
        extensions = ["binary_tensor_data", "model_configuration", "statistics", PREDICTION_ID]
        return _json({"name": "tidegate", "version": VERSION, "extensions": extensions})

    async def live(self, _: Request) -> Response:
        """Liveness: the process runs."""
        return _json({"live": True})

    async def ready(self, _: Request) -> Response:
        """Readiness of the server; 503 if it is not ready."""
        return self._readiness()

    async def model_ready(self, request: Request) -> Response:
        """Readiness of the model; 503 if it is not ready."""
        if self._service.loaded is not None:
            self._model(request)
        return self._readiness()

    async def metadata(self, request: Request) -> Response:
        """The inputs and outputs of the model."""
        model = self._model(request)
        manifest = model.manifest
        return _json(
            {
                "name": manifest.name,
                "versions": [manifest.version],
                "platform": "onnxruntime_onnx",
                "inputs": [each.model_dump(include=SHOWN) for each in model.inputs.tensors],
                "outputs": [each.model_dump(include=SHOWN) for each in model.task.outputs],
            }
        )

    async def config(self, request: Request) -> Response:
        """The model configuration in Triton's format."""
        model = self._model(request)
        return _json(
            {
                "name": model.manifest.name,
                "platform": "onnxruntime_onnx",
                "backend": "onnxruntime",
                "max_batch_size": 0,
                "input": [_config_entry(tensor) for tensor in model.inputs.tensors],
                "output": [_config_entry(tensor) for tensor in model.task.outputs],
            }
        )

    async def stats(self, request: Request) -> Response:
        """Statistics of the requests since the start; times in nanoseconds."""
        manifest, found = self._model(request).manifest, self._service.recorder.statistics
        times = {
            "success": found.queue_ns + found.slot_ns,
            "queue": found.queue_ns,
            "compute_infer": found.slot_ns,
        }
        entry = {
            "name": manifest.name,
            "version": manifest.version,
            "last_inference": found.last_unix_ms,
            "inference_count": found.rows,
            "execution_count": found.batches,
            "inference_stats": {
                name: {"count": found.batches, "ns": ns} for name, ns in times.items()
            },
        }
        return _json({"model_stats": [entry]})

    async def index(self, _: Request) -> Response:
        """The index of the models."""
        model = self._service.loaded
        if model is None:
            return _json([])
        state = "READY" if self._service.replica.lifecycle.phase == "ready" else "UNAVAILABLE"
        entry = {"name": model.manifest.name, "version": model.manifest.version}
        return _json([{**entry, "state": state, "reason": self._service.replica.lifecycle.reason}])

    async def fixed(self, _: Request) -> Response:
        """Refuses to load or unload a model."""
        message = (
            "loading and unloading are not offered: the server has one model, that of model.path; "
            "`tidegate deploy` replaces it"
        )
        raise RequestError(400, Detail(("repository",), message, PROTOCOL))

    async def no_shared_memory(self, _: Request) -> Response:
        """Refuses to register or list shared memory."""
        message = UNSUPPORTED["shared_memory_region"]
        raise RequestError(400, Detail(("sharedmemory",), message, PROTOCOL))

    async def _infer(self, scope: Scope, receive: Receive) -> Answer:
        """Predict a batch."""
        model = self._named(scope.get("path_params", {}))
        headers = headers_of(scope)
        # Triton ignores the content type, and its client sends none.
        body = await read_body(headers, receive, self._service.request_bytes, check_type=False)
        with span("request.parse", bytes=len(body)):
            text, raw = split_body(body, headers.get(HEADER_LENGTH.encode()))
            request = validated(InferenceRequest, parse_json(text))
            outputs = read_outputs(model, request)
            batch = await in_thread_if_long(
                model,
                len(text),
                lambda: model.inputs.read_tensors([*read_tensors(request.inputs, raw)]),
            )
            names = [*outputs]
            check_row_count(model, len(batch), names, ("outputs",))
        work = None if request.parameters is None else request.parameters.work
        result = await self._service.predict(model, batch, work, receive)
        with span("response.encode"):
            check_answer_size(model, result, names, ("outputs",))
            ids: list[str] = []
            if PREDICTION_ID in outputs:
                ids = make_prediction_ids(model, result, self._service.ids)
            response = write_response(model, request.id, result, outputs, prediction_ids=ids)
            await compress(response, headers.get(b"accept-encoding", b""))
            response.after = self._service.after_response.after(
                model, batch, result.prediction, ids
            )
            return response

    def _readiness(self) -> Response:
        ready = self._service.replica.lifecycle.phase == "ready"
        return _json({"ready": ready}, status=200 if ready else 503)

    def _model(self, request: Request) -> Model:
        return self._named(request.path_params)

    def _named(self, params: Mapping[str, Any]) -> Model:
        model = self._service.model()
        manifest = model.manifest
        name = params.get("name", manifest.name)
        version = params.get("version", manifest.version)
        if (name, version) != (manifest.name, manifest.version):
            message = (
                f"Unknown model; this server serves {manifest.name}, version {manifest.version}"
            )
            raise RequestError(404, Detail(("path", "name"), message, "not_found"))
        return model


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _config_entry(tensor: TensorSpec) -> dict[str, Any]:
    data_type = "STRING" if tensor.datatype == BYTES else tensor.datatype
    return {"name": tensor.name, "data_type": f"TYPE_{data_type}", "dims": tensor.shape}
