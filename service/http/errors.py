"""The error responses of the service, in the form of the path that was asked."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tidegate.service.http.v2 import PREFIX
from tidegate.service.request_errors import Detail, RequestError
from tidegate.serving import NoSlotError
from tidegate.telemetry import fail


def add_error_handlers(app: Starlette) -> None:
    """Answer each error as JSON, and record its reason in the request's event."""
    app.add_exception_handler(RequestError, _on_request_error)
    app.add_exception_handler(NoSlotError, _on_no_slot)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected_error)


async def _on_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)  # noqa: S101 (it is registered for this type alone)
    return _error_response(request, error)


async def _on_no_slot(request: Request, error: Exception) -> Response:
    assert isinstance(error, NoSlotError)  # noqa: S101 (it is registered for this type alone)
    detail = Detail(("slots",), error.message, "no_slot")
    retry_after = {"Retry-After": str(error.retry_after_seconds)}
    return _error_response(request, RequestError(503, detail, headers=retry_after))


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
    fail(problem.type, str(problem))
    if request.url.path.startswith(PREFIX):
        body: dict[str, Any] = {"error": problem.message}
    else:
        body = {"detail": [detail.as_json() for detail in problem.details]}
    return Response(
        orjson.dumps(body), problem.status, problem.headers, media_type="application/json"
    )
