"""The HTTP API of a resizer: `GET /replicas` and `PUT /replicas {"desired": n, "slots": k}`.

The mode of the file protects a Unix socket, a bearer token protects TCP. Two paths are for health checks and
need no token: `GET /live` reports that the process works, `GET /ready` whether it knows its replicas. A
restart because the Docker engine or the API server is away would help nobody.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StrictInt, ValidationError

from tidegate.resizer.contract import (
    ReplicaStatus,
    ResizeLimitedError,
    Resizer,
    ResizeRefusedError,
    ResizerUnavailableError,
)
from tidegate.runtime.http_server import Handler, serve_listener
from tidegate.runtime.unix_sockets import unix_listener

BODY_BYTES: Final = 65_536
SHUTDOWN_SECONDS: Final = 2.0
LIVE_PATH: Final = "/live"
READY_PATH: Final = "/ready"
# These paths are read-only and reveal no secret, so they need no token.
PUBLIC_PATHS: Final = frozenset({LIVE_PATH, READY_PATH, "/metrics"})
# The tokens that are accepted now.
Tokens = Callable[[], Collection[str]]
TOKENS: Final = web.AppKey[Tokens | None]("tokens")


class ResizeRequest(BaseModel):
    """The body of `PUT /replicas`; without `slots` they stay unchanged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    desired: StrictInt
    slots: StrictInt | None = None


def make_app(resizer: Resizer, *, tokens: Tokens | None = None) -> web.Application:
    """Create the application; more routes may be added before it is served.

    Args:
        resizer: handles the requests.
        tokens: if given, every request except a health check must send one of them as
            `Authorization: Bearer <token>`.
    """

    async def get_replicas(request: web.Request) -> web.Response:
        del request
        return _status_response(await resizer.status())

    async def put_replicas(request: web.Request) -> web.Response:
        try:
            body = ResizeRequest.model_validate_json(await request.read())
        except ValidationError as error:
            return _error_response(400, _validation_text(error))
        try:
            return _status_response(await resizer.resize(body.desired, body.slots))
        except ResizeRefusedError as error:
            return _error_response(409, str(error))

    async def get_live(request: web.Request) -> web.Response:
        del request
        return web.json_response({"status": "live"})

    async def get_ready(request: web.Request) -> web.Response:
        del request
        await resizer.status()
        return web.json_response({"status": "ready"})

    app = web.Application(client_max_size=BODY_BYTES, middlewares=[_errors_as_json, _require_token])
    app[TOKENS] = tokens
    app.router.add_get("/replicas", get_replicas)
    app.router.add_put("/replicas", put_replicas)
    app.router.add_get(LIVE_PATH, get_live)
    app.router.add_get(READY_PATH, get_ready)
    return app


@asynccontextmanager
async def serve_unix(app: web.Application, path: Path) -> AsyncIterator[None]:
    """Serve on a Unix socket of mode 0600 at `path`, which may have any length.

    Raises:
        AddressInUseError: another process listens there, or the path is not a socket.
        OSError: the socket cannot be created.
    """
    with unix_listener(path) as listener:
        async with serve_listener(app, listener, SHUTDOWN_SECONDS):
            yield


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ResizeLimitedError as error:
        response = _error_response(429, str(error))
        response.headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
        return response
    except ResizerUnavailableError as error:
        return _error_response(503, str(error))
    except web.HTTPException as error:
        response = _error_response(error.status, error.reason)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response


@web.middleware
async def _require_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    tokens = request.app[TOKENS]
    if tokens and request.path not in PUBLIC_PATHS:
        scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
        # A header may contain any bytes; compare_digest accepts text only if it is ASCII.
        sent = presented.strip().encode(errors="surrogateescape")
        matches = any(hmac.compare_digest(sent, token.encode()) for token in tokens())
        if scheme.lower() != "bearer" or not matches:
            response = _error_response(401, "the token is missing or wrong")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
    return await handler(request)


def _status_response(status: ReplicaStatus) -> web.Response:
    return web.Response(body=status.model_dump_json().encode(), content_type="application/json")


def _error_response(code: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=code)


def _validation_text(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}"
        for item in error.errors(include_url=False)
    )
