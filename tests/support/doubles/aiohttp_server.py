"""Servers of aiohttp: in the loop of the test, or in a thread for code that runs no loop or its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler, port: int | None = None) -> AsyncIterator[str]:
    """Answer every request by the handler, on this port or a free one; yields the URL."""
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", handler)
    server = TestServer(app, port=port)
    # What is still being answered at the end is given up.
    await server.start_server(shutdown_timeout=0.1)
    try:
        yield f"http://{server.host}:{server.port}"
    finally:
        await server.close()


@contextmanager
def serving(
    app: web.Application, port: int = 0, *, tls: ssl.SSLContext | None = None, **options: Any
) -> Iterator[str]:
    """Serve the application on this port or a free one; yields its URL. Options are those of `AppRunner`."""
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, **options)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls, reuse_address=True).start()
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        try:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(120)
        finally:  # otherwise the thread would keep the test process alive
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
