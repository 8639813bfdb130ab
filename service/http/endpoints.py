"""`POST /predict`, `/openapi.json` and `/docs`."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import orjson
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope

from tidegate.service.http.body import headers_of, in_thread_if_long, parse_json, read_body
from tidegate.service.http.body_types import Request, validated
from tidegate.service.http.docs_page import CONTENT_SECURITY_POLICY, docs_page
from tidegate.service.http.errors import Endpoint
from tidegate.service.http.openapi import describe
from tidegate.service.http.response import (
    Answer,
    check_answer_size,
    check_row_count,
    encode,
    make_prediction_ids,
)
from tidegate.service.model.features import INSTANCES
from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.work import Work
from tidegate.service.serving.model_service import ModelService
from tidegate.telemetry import span


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
