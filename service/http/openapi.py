"""The OpenAPI document, made by FastAPI from Pydantic models of the model's inputs and answers.

The routes here are never mounted: FastAPI's own handling of a request costs more than the model does. To read
and validate a body takes it 45 µs for one row and 821 µs for 256, `body.py` and the inputs 30 and 422 µs (CPU
time, 2 cores, 2026-11-25), and it accepts other values: `"5"` as a number.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from starlette.responses import Response as AnyResponse

from tidegate.service import VERSION
from tidegate.service.http.body_types import (
    Errors,
    Feedback,
    FeedbackReport,
    InferenceRequest,
    Outcome,
    ProtocolError,
    Request,
    Response,
    narrowed,
    with_example,
)
from tidegate.service.model.features import MAX_ROWS
from tidegate.service.model.loaded_model import Model

Responses: TypeAlias = dict[int | str, dict[str, Any]]
_ERRORS: Final = {
    400: "The body is not JSON, or does not follow the protocol",
    405: "The path does not support this method",
    413: "The body is too large",
    415: "The content type or content encoding is not supported",
    422: "At least one value is invalid; each invalid value is listed",
    503: "No slot became free in time, or the model is not loaded; see Retry-After",
}
_PROTOCOL_ERRORS: Final = {
    status: _ERRORS.get(status, "Unknown model") for status in (400, 404, 413, 422, 503)
}
_FEEDBACK: Final = {
    200: "All labels were accepted",
    207: "Some labels were accepted; `detail` gives the reason for each of the others",
    403: "No label was accepted: the prediction ids are not signed by this service",
    404: "No label was accepted: the predictions are of another model, or of other classes",
    409: "No label was accepted: each one has been counted already",
    410: "No label was accepted: the predictions are too old",
}


def describe(model: Model | None) -> dict[str, Any]:
    """The OpenAPI document; without the model's paths before a model is loaded."""
    routers = [_operation()]
    if model is not None:
        routers = [_model(model), *routers, _protocol(model)]
    manifest = None if model is None else model.manifest
    return get_openapi(
        title=manifest.name if manifest else "Tidegate model service",
        version=manifest.version if manifest else VERSION,
        description=manifest.description if manifest else "The model is not loaded yet.",
        routes=[route for router in routers for route in router.routes],
        separate_input_output_schemas=False,
    )


def _model(model: Model) -> APIRouter:
    task, example = model.task, model.example
    instance: Any = model.inputs.instance_type()
    bounds = Field(min_length=1, max_length=MAX_ROWS)
    request = narrowed(Request, instances=Annotated[list[instance], bounds])
    if example is not None:
        request = with_example(request, {"instances": [example]})
    answer: Any = task.answer_type()
    response = narrowed(Response, predictions=list[answer])
    errors = _responses(Errors, _ERRORS)
    router = APIRouter(tags=["model"])
    _add(
        router,
        "POST /predict",
        model.manifest.description or "Predict",
        _responses(response, {200: task.summary}) | errors,
        request,
    )
    if task.no_feedback:
        return router
    outcome: Any = narrowed(Outcome, label=task.label_type())
    _add(
        router,
        "POST /feedback",
        "Report the true labels of predictions",
        _responses(FeedbackReport, _FEEDBACK) | errors,
        narrowed(Feedback, outcomes=list[outcome]),
    )
    return router


def _operation() -> APIRouter:
    router = APIRouter(tags=["operation"])
    _add(router, "GET /live", "The process runs", _status(200))
    _add(router, "GET /ready", "Requests may be sent", _status(200, 503))
    text = {"text/plain": {"schema": {"type": "string"}}}
    openmetrics = {"application/openmetrics-text": text["text/plain"]}
    metrics: Responses = {
        200: {"description": "OpenMetrics or Prometheus text", "content": text | openmetrics},
        404: {"model": Errors, "description": "At the gateway: each replica has its own metrics"},
    }
    _add(router, "GET /metrics", "Metrics for Prometheus, at a replica's port", metrics)
    return router


def _protocol(loaded: Model) -> APIRouter:
    model = f"/v2/models/{loaded.manifest.name}"
    router = APIRouter(tags=["inference protocol v2"])
    for path, summary in {
        "/v2": "Open Inference Protocol: the server",
        "/v2/health/live": "The process runs",
        "/v2/health/ready": "Requests may be sent",
        model: "The model's inputs and outputs, as tensors",
        f"{model}/ready": "The model accepts requests",
        f"{model}/config": "The model's configuration in Triton's format",
        f"{model}/stats": "Statistics of the requests since the start",
    }.items():
        statuses = (200, 503) if path.endswith("/ready") else (200,)
        _add(router, f"GET {path}", summary, _status(*statuses))
    request: type[BaseModel] = InferenceRequest
    if (example := loaded.example) is not None:
        inputs = [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": [1, *(np.shape(example[tensor.name]) or tensor.shape[1:])],
                "data": [example[tensor.name]],
            }
            for tensor in loaded.inputs.tensors
        ]
        request = with_example(InferenceRequest, {"inputs": inputs})
    _add(
        router,
        f"POST {model}/infer",
        "Predict, with tensors in JSON or raw bytes",
        _status(200) | _responses(ProtocolError, _PROTOCOL_ERRORS),
        request,
    )
    return router


def _status(*statuses: int) -> Responses:
    texts = {200: "OK", 503: "Not ready"}
    return _responses(dict[str, Any], {status: texts[status] for status in statuses})


def _responses(model: Any, texts: Mapping[int, str]) -> Responses:
    return {status: {"model": model, "description": text} for status, text in texts.items()}


def _add(
    router: APIRouter,
    operation: str,
    summary: str,
    responses: Responses,
    request: type[BaseModel] | None = None,
) -> None:
    method, path = operation.split()
    router.add_api_route(
        path,
        _endpoint(request),
        methods=[method],
        summary=summary,
        operation_id=path.strip("/").replace("/", "_"),
        response_class=AnyResponse,
        responses=responses,
    )


def _endpoint(request: type[BaseModel] | None) -> Any:
    """A function with the signature of a FastAPI endpoint whose body is `request`."""

    def documented() -> None: ...

    body = inspect.Parameter("body", inspect.Parameter.KEYWORD_ONLY, annotation=request)
    documented.__signature__ = inspect.Signature([body] if request else [])  # type: ignore[attr-defined]
    return documented
