"""An aiohttp application on a free port, in a thread of its own, for code that has no loop or its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


@contextmanager
def serving(app: web.Application) -> Iterator[str]:
    """Serve it; yields its address."""
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
        finally:  # else the thread would keep the whole test run alive
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
