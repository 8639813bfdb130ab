"""Serve an aiohttp application in a thread, for code under test that runs no event loop or its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


@contextmanager
def serving(app: web.Application) -> Iterator[str]:
    """Serve the application on a free port; yields its URL."""
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        try:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(120)
        finally:  # otherwise the thread would keep the test process alive
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
