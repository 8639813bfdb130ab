"""The ASGI application: routes, lifespan and error responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from time import time_ns
from typing import Any

import orjson
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tidegate.events.event import make_event
from tidegate.monitoring.feedback.outcomes import event_message
from tidegate.service import VERSION
from tidegate.service.http.body import BODY, parse_json, read_body
from tidegate.service.http.docs_page import CONTENT_SECURITY_POLICY, docs_page
from tidegate.service.http.feedback import Feedback
from tidegate.service.http.openapi import describe
from tidegate.service.http.parsing import in_thread_if_long
from tidegate.service.http.response import (
    check_answer_size,
    check_row_count,
    encode,
    make_prediction_ids,
)
from tidegate.service.http.v2 import PREFIX, InferenceV2
from tidegate.service.model.features import INSTANCES
from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.loaded_model import Model
from tidegate.service.model.work import WORKS, Work
from tidegate.service.request_errors import Detail, RequestError
from tidegate.service.serving.after_response import AfterResponse
from tidegate.service.serving.replica import Replica
from tidegate.serving import Loading, make_replica, manual_slots
from tidegate.settings import Settings
from tidegate.telemetry import fail, get_logger, instrument, span

log = get_logger("tidegate.service.http.app")


def create_app(settings: Settings) -> FastAPI:
    """The service as an application.

    Serve `app.state.serving`, which is the application as a replica. It loads its model in the background.
    The model and its slots are `app.state.replica`.

    Raises:
        SettingsError: the key of prediction ids cannot be read.
    """
    # The routes are Starlette's: FastAPI's validation of a body costs more than the model's prediction.
    app = FastAPI(
        title=settings.service.name,
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A redirect would send the body to the host of the request header, which a client can forge.
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    telemetry = instrument(app, settings)
    # The number of rows decides whether a prediction needs a thread, so slots are acquired after parsing.
    manual_slots(app)
    serving = make_replica(app, settings)
    replica = Replica(settings, telemetry.registry, serving.slots, serving.lifecycle)

    def write_outcome(event_id: str, fields: Mapping[str, Any]) -> None:
        event = make_event(
            telemetry.origin,
            "outcome",
            event_message(fields),
            unix_ns=time_ns(),
            event_id=event_id,
            fields=fields,
        )
        telemetry.writer.write(event)

    def write_event(dataset: str, message: str, fields: Mapping[str, Any]) -> None:
        event = make_event(telemetry.origin, dataset, message, unix_ns=time_ns(), fields=fields)
        telemetry.writer.write(event)

    replica.after_response = AfterResponse(settings, telemetry.registry, write_event)
    app.state.replica, app.state.serving = replica, serving
    endpoints = Endpoints(replica)
    app.openapi = endpoints.document  # type: ignore[method-assign]
    app.router.routes += [
        Route("/predict", endpoints.predict, methods=["POST"]),
        Route("/feedback", Feedback(replica, write_outcome).post, methods=["POST"]),
        Route("/live", endpoints.live),
        Route("/ready", endpoints.ready),
        Route("/openapi.json", endpoints.openapi),
        Route("/docs", endpoints.docs),
        *InferenceV2(replica).routes(),
    ]
    app.add_exception_handler(RequestError, _on_request_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected_error)
    return app


class Endpoints:
    """The endpoints of the service, except /feedback and the Open Inference Protocol, for one replica."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._document: dict[str, Any] | None = None

    async def predict(self, request: Request) -> Response:
        """Predict each instance."""
        replica = self._replica
        model = replica.model()
        body = await read_body(request, replica.settings.gateway.request_bytes)
        with span("request.parse", bytes=len(body)):
            batch, work = await in_thread_if_long(
                model, len(body), lambda: read_request(parse_json(body), model.inputs)
            )
            check_row_count(model, len(batch), None, INSTANCES)
        result = await replica.predict(model, batch, work, request.receive)
        with span("response.encode"):
            check_answer_size(model, result, None, INSTANCES)
            prediction_ids = make_prediction_ids(model, result, replica.ids)
            content = encode(model, result, prediction_ids)
        after = replica.after(model, batch, result, prediction_ids)
        return Response(content, media_type="application/json", background=after)

    async def live(self, _: Request) -> Response:
        """Liveness: the process runs."""
        return _json({"status": "live"})

    async def ready(self, _: Request) -> Response:
        """Readiness: 503 until the model is loaded, and after SIGTERM."""
        replica = self._replica
        status = HTTPStatus.OK if replica.phase == "ready" else HTTPStatus.SERVICE_UNAVAILABLE
        body: dict[str, str] = {"status": replica.phase}
        if replica.reason:
            body["reason"] = replica.reason
        if replica.loaded:
            manifest = replica.loaded.manifest
            body |= {"model": manifest.name, "version": manifest.version}
        return _json(body, status)

    async def openapi(self, _: Request) -> Response:
        """The OpenAPI document."""
        return _json(await asyncio.to_thread(self.document))

    async def docs(self, _: Request) -> Response:
        """The HTML page of the OpenAPI document."""
        page = docs_page(await asyncio.to_thread(self.document), self._replica.loaded)
        return HTMLResponse(page, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    def document(self) -> dict[str, Any]:
        """The OpenAPI document, with the model's inputs and answers once it is loaded."""
        loaded = self._replica.loaded
        if loaded is None:
            return describe(None)
        if self._document is None:
            self._document = describe(loaded)
        return self._document


def read_request(body: object, inputs: Inputs[Any]) -> tuple[Any, Work | None]:
    """The batch and the kind of a request, from its body.

    Raises:
        RequestError: 422, naming each invalid field.
    """
    if not isinstance(body, dict):
        raise RequestError(422, Detail(BODY, "Input should be an object", "dict_type"))
    if "instances" not in body:
        raise RequestError(422, Detail((*BODY, "instances"), "Field required", "missing"))
    work = body.get("work")
    if work is not None and work not in WORKS:
        message = f"Input should be one of {', '.join(WORKS)}"
        raise RequestError(422, Detail((*BODY, "work"), message, "literal_error"))
    for name in body:
        if name not in {"instances", "work"}:
            message = "Unknown field; expected `instances` or `work`"
            raise RequestError(422, Detail((*BODY, name), message, "extra_forbidden"))
    return inputs.read(body["instances"]), work


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    replica: Replica = app.state.replica
    loading = Loading[Model]("the model")
    loading.start(replica.load)

    async def load_more() -> None:  # the replica is ready before that
        try:
            model = await loading.until_loaded()
        except Exception:  # noqa: BLE001 - whatever it is, Loading has logged it
            return
        try:
            if replica.after_response is not None:
                await replica.after_response.load(model)
        except Exception:
            log.exception(
                "what follows the model could not be loaded; the service answers without it"
            )

    more = asyncio.create_task(load_more())
    yield
    more.cancel()
    await loading.stop()
    with suppress(asyncio.CancelledError):
        await more
    replica.close()


async def _on_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)  # noqa: S101 (it is registered for this type alone)
    return _error_response(request, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (it is registered for this type alone)
    loc, kind = {
        HTTPStatus.NOT_FOUND: (("path",), "not_found"),
        HTTPStatus.METHOD_NOT_ALLOWED: (("method",), "method_not_allowed"),
    }.get(HTTPStatus(error.status_code), (("request",), "http_error"))
    message = f"{request.method} {request.url.path}: {error.detail}"
    detail = Detail(loc, message, kind)
    return _error_response(request, RequestError(error.status_code, detail, headers=error.headers))


async def _on_unexpected_error(request: Request, error: Exception) -> Response:
    detail = Detail(("server",), "Internal error; it is logged", type(error).__name__)
    return _error_response(request, RequestError(500, detail))


def _error_response(request: Request, problem: RequestError) -> Response:
    fail(problem.type, problem.recorded)
    if request.url.path.startswith(PREFIX):
        body: dict[str, Any] = {"error": str(problem)}
    else:
        body = {"detail": [detail.as_json() for detail in problem.details]}
    return _json(body, problem.status, problem.headers)


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, media_type="application/json")
