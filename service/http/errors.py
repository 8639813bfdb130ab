"""The error responses of the service, in the form of the path that was asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.service.request_errors import Detail, RequestError
from tidegate.serving import NoSlotError
from tidegate.telemetry import fail

PREFIX: Final = "/v2"
"""The paths of the Open Inference Protocol, whose errors have another form."""


def add_error_handlers(app: Starlette) -> None:
    """Answer each error as JSON, and record its reason in the request's event."""
    for kind in (RequestError, NoSlotError, HTTPException, Exception):
        app.add_exception_handler(kind, _on_error)


class Endpoint:
    """An endpoint as an ASGI application of its own, with the error responses of all others.

    `answer` makes the response to a request, from its scope and its channel.
    """

    def __init__(self, answer: Callable[[Scope, Receive], Awaitable[ASGIApp]]) -> None:
        self._answer: Final = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            response = await self._answer(scope, receive)
        except (RequestError, NoSlotError) as error:
            response = _error_response(scope, error)
        except Exception as error:
            await _error_response(scope, error)(scope, receive, send)
            raise  # so that it is recorded
        await response(scope, receive, send)


def _error_response(scope: Scope, error: Exception) -> Response:
    """The response to an error; its reason goes to the request's event."""
    problem = _problem(scope, error)
    fail(problem.type, str(problem))
    if scope["path"].startswith(PREFIX):
        body: dict[str, Any] = {"error": problem.message}
    else:
        body = {"detail": [detail.as_json() for detail in problem.details]}
    return Response(
        orjson.dumps(body), problem.status, problem.headers, media_type="application/json"
    )


def _problem(scope: Scope, error: Exception) -> RequestError:
    if isinstance(error, RequestError):
        return error
    if isinstance(error, NoSlotError):
        detail = Detail(("slots",), error.message, "no_slot")
        return RequestError(503, detail, headers={"Retry-After": str(error.retry_after_seconds)})
    if isinstance(error, HTTPException):
        loc, kind = {
            404: (("path",), "not_found"),
            405: (("method",), "method_not_allowed"),
        }.get(error.status_code, (("request",), "http_error"))
        message = f"{scope['method']} {scope['path']}: {error.detail}"
        detail = Detail(loc, message, kind)
        return RequestError(error.status_code, detail, headers=error.headers)
    detail = Detail(("server",), "Internal error; it is logged", type(error).__name__)
    return RequestError(500, detail)


async def _on_error(request: Request, error: Exception) -> Response:
    return _error_response(request.scope, error)
