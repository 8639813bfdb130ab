"""The HTTP server of a daemon that runs an event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, cast

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from tidegate.runtime.connections import KEEP_ALIVE_SECONDS, Connections
from tidegate.runtime.daemon import requires_port

SHUTDOWN_SECONDS: Final = 1.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_metrics_route(app: web.Application, registry: CollectorRegistry) -> None:
    """Serve the metrics of a registry at `GET /metrics`, in the format that the client accepts."""

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app.router.add_get("/metrics", metrics)


def listen(host: str, port: int, setting: str) -> socket.socket:
    """Listen on an address; `setting` has the port.

    Raises:
        CannotStartError: the port is taken.
    """
    with requires_port(setting, port):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    # Connections inherit it. Without, the body of a response waits 40 ms until its headers are confirmed.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


@asynccontextmanager
async def http_server(
    app: web.Application,
    host: str,
    port: int,
    setting: str,
    shutdown_seconds: float = SHUTDOWN_SECONDS,
) -> AsyncIterator[None]:
    """Serve an application inside the block; `setting` has the port.

    At the end, open requests have so many seconds before they are cancelled.

    Raises:
        CannotStartError: the port is taken.
    """
    async with serve_listener(app, listen(host, port, setting), shutdown_seconds):
        yield


@asynccontextmanager
async def serve_listener(
    app: web.Application,
    listener: socket.socket,
    shutdown_seconds: float,
    connections: Connections | None = None,
) -> AsyncIterator[None]:
    """Serve an application on a listening socket inside the block, then close it; connections are bounded."""
    bounds = connections or Connections()
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=shutdown_seconds,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
    )
    await runner.setup()
    handlers = cast("web.Server", runner.server)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: bounds.bound(handlers()), sock=listener)
    try:
        yield
    finally:
        server.close()
        await runner.cleanup()
