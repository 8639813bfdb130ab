"""The HTTP face of any resizer: `GET /replicas` and `PUT /replicas {"desired": n, "slots": k}`.

Over a Unix socket the file's mode says who may come in; over TCP a bearer token does. `GET /live` is for
health checks: it needs no token, and says only whether the resizer knows its replicas.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import AsyncIterator, Awaitable, Callable
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
from tidegate.runtime.http_server import http_server
from tidegate.runtime.unix_sockets import unix_listener

BODY_BYTES: Final = 65_536
SHUTDOWN_SECONDS: Final = 2.0
LIVE_PATH: Final = "/live"
METRICS_PATH: Final = "/metrics"
# What changes nothing and tells no secret needs no token.
OPEN_PATHS: Final = frozenset({LIVE_PATH, METRICS_PATH})
TOKEN: Final = web.AppKey("token", str)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ResizeRequest(BaseModel):
    """The body of `PUT /replicas`; slots that are left out stay as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    desired: StrictInt
    slots: StrictInt | None = None


def make_app(resizer: Resizer, *, token: str = "") -> web.Application:
    """The application, to which more routes may be added before it is served.

    Args:
        resizer: what it is a face of.
        token: every request but a health check must carry it as `Authorization: Bearer <token>`, if not
            empty.
    """

    async def get_replicas(request: web.Request) -> web.Response:
        del request
        return _status(await resizer.status())

    async def put_replicas(request: web.Request) -> web.Response:
        try:
            wanted = ResizeRequest.model_validate_json(await request.read())
        except ValidationError as error:
            return _error(400, _explain(error))
        try:
            return _status(await resizer.resize(wanted.desired, wanted.slots))
        except ResizeRefusedError as error:
            return _error(409, str(error))

    async def get_live(request: web.Request) -> web.Response:
        del request
        await resizer.status()
        return web.json_response({"status": "live"})

    app = web.Application(client_max_size=BODY_BYTES, middlewares=[_errors_as_json, _require_token])
    app[TOKEN] = token
    app.router.add_get("/replicas", get_replicas)
    app.router.add_put("/replicas", put_replicas)
    app.router.add_get(LIVE_PATH, get_live)
    return app


@asynccontextmanager
async def serve_unix(app: web.Application, path: Path) -> AsyncIterator[None]:
    """Serve on a Unix socket of mode 0600 at `path` (of any length) inside the block.

    Raises:
        AddressInUseError: another process listens there, or the path is not a socket.
        OSError: the socket cannot be made.
    """
    with unix_listener(path) as listener:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield
        finally:
            await runner.cleanup()


@asynccontextmanager
async def serve_tcp(app: web.Application, host: str, port: int) -> AsyncIterator[None]:
    """Serve on TCP inside the block.

    Raises:
        ValueError: the app was made without a token; then only a Unix socket is safe.
        CannotStartError: the port is taken.
    """
    if not app[TOKEN]:
        raise ValueError("a resizer on TCP needs a token")
    async with http_server(app, host, port, "resizer.port", SHUTDOWN_SECONDS):
        yield


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ResizeLimitedError as error:
        answer = _error(429, str(error))
        answer.headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
        return answer
    except ResizerUnavailableError as error:
        return _error(503, str(error))
    except web.HTTPException as error:
        answer = _error(error.status, error.reason)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer


@web.middleware
async def _require_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    token = request.app[TOKEN]
    if token and request.path not in OPEN_PATHS:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        # A header may hold any bytes; compare_digest takes text of ASCII only.
        same = hmac.compare_digest(
            given.strip().encode(errors="surrogateescape"), token.encode(errors="surrogateescape")
        )
        if scheme.lower() != "bearer" or not same:
            answer = _error(401, "the token is missing or wrong")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
    return await handler(request)


def _status(status: ReplicaStatus) -> web.Response:
    return web.Response(body=status.model_dump_json().encode(), content_type="application/json")


def _error(code: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=code)


def _explain(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}"
        for item in error.errors(include_url=False)
    )
