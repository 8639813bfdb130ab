"""The HTTP server of a daemon that runs an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from tidegate.runtime.daemon import requires_port

SHUTDOWN_SECONDS: Final = 1.0


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
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_seconds)
    await runner.setup()
    try:
        with requires_port(setting, port):
            await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
