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

from tidegate.runtime.connections import IDLE_SECONDS, Connections
from tidegate.runtime.daemon import requires_port

SHUTDOWN_SECONDS: Final = 1.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_metrics_route(app: web.Application, registry: CollectorRegistry) -> None:
    """Serve the metrics of a registry at `GET /metrics`, in the format that the client accepts."""

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app.router.add_get("/metrics", metrics)


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
    with requires_port(setting, port):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    async with serve_listener(app, listener, shutdown_seconds):
        yield


@asynccontextmanager
async def serve_listener(
    app: web.Application,
    listener: socket.socket,
    shutdown_seconds: float,
    connections: Connections | None = None,
) -> AsyncIterator[None]:
    """Serve an application on a listening socket inside the block, then close it.

    The connections are bounded.
    """
    open_ones = connections or Connections()

    @web.middleware
    async def in_work(request: web.Request, handler: Handler) -> web.StreamResponse:
        open_ones.works(request.protocol)
        try:
            return await handler(request)
        finally:
            open_ones.waits(request.protocol)

    app.middlewares.insert(0, in_work)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_seconds)
    await runner.setup()
    loop, manager = asyncio.get_running_loop(), cast("web.Server", runner.server)
    server = await loop.create_server(lambda: _Protocol(manager, loop, open_ones), sock=listener)
    try:
        async with open_ones.enforced():
            yield
    finally:
        server.close()
        await runner.cleanup()


class _Protocol(web.RequestHandler):
    """aiohttp's connection, counted."""

    def __init__(
        self, manager: web.Server, loop: asyncio.AbstractEventLoop, connections: Connections
    ) -> None:
        super().__init__(manager, loop=loop, keepalive_timeout=IDLE_SECONDS)
        self.access_logger = None
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.opened(self, cast("asyncio.Transport", transport).abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.closed(self)
        super().connection_lost(exc)
