"""The ASGI application: its routes, what answers at each, and the loading of its model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from time import time_ns
from typing import Any, Final

import orjson
from fastapi import FastAPI
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.monitoring.feedback.outcomes import OutcomeRefusedError, Reason, event_message
from tidegate.service import VERSION
from tidegate.service.http import body_types
from tidegate.service.http.body import headers_of, in_thread_if_long, parse_json, read_body
from tidegate.service.http.body_types import BODY, Request, validated
from tidegate.service.http.docs_page import CONTENT_SECURITY_POLICY, docs_page
from tidegate.service.http.errors import PREFIX, Endpoint, add_error_handlers
from tidegate.service.http.openapi import describe
from tidegate.service.http.response import (
    Answer,
    check_answer_size,
    check_row_count,
    encode,
    make_prediction_ids,
)
from tidegate.service.http.v2 import InferenceV2
from tidegate.service.model.artefact import Manifest
from tidegate.service.model.features import INSTANCES
from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.loaded_model import Model
from tidegate.service.model.work import Work
from tidegate.service.request_errors import Detail
from tidegate.service.serving.model_service import ModelService
from tidegate.serving import Loading, make_replica, manual_slots
from tidegate.settings import Settings
from tidegate.telemetry import annotate, fail, span

OUTCOMES: Final = (*BODY, "outcomes")
STATUS: Final[Mapping[Reason, int]] = {
    "malformed": HTTPStatus.UNPROCESSABLE_ENTITY,
    "forged": HTTPStatus.FORBIDDEN,
    "expired": HTTPStatus.GONE,
    "replayed": HTTPStatus.CONFLICT,
    "foreign_version": HTTPStatus.NOT_FOUND,
    "unknown_label": HTTPStatus.UNPROCESSABLE_ENTITY,
}
BLOCK_OUTCOMES: Final = 64
"""Outcomes processed before the event loop runs other requests; 4096 take 110 ms."""


class Feedback:
    """The endpoint of one replica, for labels of the predictions of its model."""

    def __init__(self, service: ModelService) -> None:
        self._service = service
        self._write_event = service.replica.telemetry.write_event

    async def post(self, request: HttpRequest) -> Response:
        """Accept each valid label, and report why each of the others is refused."""
        model, processor = self._service.model(), self._service.feedback()
        body = await read_body(
            headers_of(request.scope),
            request.receive,
            self._service.settings.gateway.request_bytes,
        )
        outcomes = validated(body_types.Feedback, parse_json(body)).outcomes
        refused: list[tuple[int, Detail]] = []
        for number, entry in enumerate(outcomes):
            if number and number % BLOCK_OUTCOMES == 0:
                await asyncio.sleep(0)
            try:
                outcome = processor.accept(entry.prediction_id, entry.label, time_ns() // 1000)
            except OutcomeRefusedError as refusal:
                name = "label" if refusal.reason == "unknown_label" else "prediction_id"
                detail = Detail((*OUTCOMES, number, name), str(refusal), refusal.reason)
                refused.append((STATUS[refusal.reason], detail))
                continue
            fields, event_id = outcome.fields(model.manifest.name), outcome.prediction.outcome_id
            self._write_event("outcome", event_message(fields), fields, event_id=event_id)
        accepted = len(outcomes) - len(refused)
        annotate(feedback={"accepted": accepted, "refused": len(refused)})
        if refused and not accepted:
            fail(refused[0][1].type, refused[0][1].recorded)
        details = [{"status": status, **detail.as_json()} for status, detail in refused]
        report = {"accepted": accepted, "refused": len(refused), "detail": details}
        status = status_of(accepted, [status for status, _ in refused])
        return Response(orjson.dumps(report), status, media_type="application/json")


def status_of(accepted: int, refusals: list[int]) -> int:
    """200 if all are accepted, 207 if some; else their common status, or 422 if it differs."""
    if not refusals:
        return HTTPStatus.OK
    if accepted:
        return HTTPStatus.MULTI_STATUS
    return refusals[0] if len(set(refusals)) == 1 else HTTPStatus.UNPROCESSABLE_ENTITY


class Endpoints:
    """The endpoints of the service, except /feedback and the Open Inference Protocol."""

    def __init__(self, service: ModelService) -> None:
        self._service = service
        self._document: dict[str, Any] | None = None
        self.predict: Final = Endpoint(self._predict)

    def routes(self) -> list[BaseRoute]:
        """The routes of an application."""
        return [
            Route("/predict", self.predict, methods=["POST"]),
            Route("/openapi.json", self.openapi),
            Route("/docs", self.docs),
        ]

    async def _predict(self, scope: Scope, receive: Receive) -> Answer:
        """Predict each instance."""
        service = self._service
        model = service.model()
        body = await read_body(headers_of(scope), receive, service.request_bytes)
        with span("request.parse", bytes=len(body)):
            batch, work = await in_thread_if_long(
                model, len(body), lambda: _read(parse_json(body), model.inputs)
            )
            check_row_count(model, len(batch), None, INSTANCES)
        result = await service.predict(model, batch, work, receive)
        with span("response.encode"):
            check_answer_size(model, result, None, INSTANCES)
            prediction_ids = make_prediction_ids(model, result, service.ids)
            content = encode(model, result, prediction_ids)
        after = service.after_response.after(model, batch, result.prediction, prediction_ids)
        return Answer(content, after)

    async def openapi(self, _: HttpRequest) -> Response:
        """The OpenAPI document."""
        document = orjson.dumps(await asyncio.to_thread(self._describe))
        return Response(document, media_type="application/json")

    async def docs(self, _: HttpRequest) -> Response:
        """The HTML page of the OpenAPI document."""
        document = await asyncio.to_thread(self._describe)
        model = self._service.loaded
        page = docs_page(document, None if model is None else model.example)
        return HTMLResponse(page, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    def _describe(self) -> dict[str, Any]:
        """The OpenAPI document, with the model's inputs and answers once it is loaded."""
        loaded = self._service.loaded
        if loaded is None:
            return describe(None)
        if self._document is None:
            self._document = describe(loaded)
        return self._document


def _read(body: object, inputs: Inputs[Any]) -> tuple[Any, Work | None]:
    """The batch and the kind of a request.

    Raises:
        RequestError: 422, naming each invalid field.
    """
    # Most bodies are so, and Pydantic would take 5 of the 160 µs of a request of one row.
    if isinstance(body, dict) and body.keys() == {"instances"}:
        return inputs.read(body["instances"]), None
    request = validated(Request, body)
    return inputs.read(request.instances), request.work


def create_app(settings: Settings) -> FastAPI:
    """The service as an application.

    Serve `app.state.replica`, which is the application as a replica. It loads its model in the background:
    that of `app.state.service`.

    Raises:
        SettingsError: the key of prediction ids cannot be read.
    """
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
    # The number of rows decides whether a prediction needs a thread, so slots are acquired after parsing.
    manual_slots(app)
    direct = DirectPaths(app)
    replica = make_replica(direct, settings)
    service = ModelService(replica)
    endpoints, protocol = Endpoints(service), InferenceV2(service)
    app.state.replica, app.state.service = replica, service
    app.state.direct, app.state.infer = direct, protocol.infer
    app.router.routes += [
        *endpoints.routes(),
        Route("/feedback", Feedback(service).post, methods=["POST"]),
        *protocol.routes(),
    ]
    add_error_handlers(app)
    direct.endpoints["/predict"] = endpoints.predict
    return app


class DirectPaths:
    """The application as one ASGI callable: predictions without the layers of a framework.

    What is asked in another way than these paths, or by another method, is routed by FastAPI to the same
    endpoints.
    """

    def __init__(self, app: FastAPI) -> None:
        self.app: Final = app
        self.version: Final = app.version
        self.endpoints: Final[dict[str, ASGIApp]] = {}

    def add_model(self, manifest: Manifest, infer: ASGIApp) -> None:
        """Add the paths of a model, whose endpoint is `infer`."""
        path = f"{PREFIX}/models/{manifest.name}"
        for each in (path, f"{path}/versions/{manifest.version}"):
            self.endpoints[f"{each}/infer"] = infer

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve a request, or the lifespan."""
        app: ASGIApp = self.app
        # The paths are those without a root path, which FastAPI removes.
        if scope["type"] == "http" and scope["method"] == "POST" and not scope.get("root_path"):
            app = self.endpoints.get(scope["path"], app)
        return app(scope, receive, send)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: ModelService = app.state.service
    loading = Loading[Model]("the model")
    loading.start(service.load)

    async def when_loaded() -> None:  # the replica is ready before that
        try:
            model = await loading.until_loaded()
        except Exception:  # noqa: BLE001 - whatever it is, Loading has logged it
            return
        app.state.direct.add_model(model.manifest, app.state.infer)
        await service.after_response.load(model)
        await service.check_rollout(model.manifest)

    shadow = asyncio.create_task(when_loaded())
    yield
    shadow.cancel()
    await loading.stop()
    with suppress(asyncio.CancelledError):
        await shadow
    service.close()
