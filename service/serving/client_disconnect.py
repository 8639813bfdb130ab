"""A client that closes its connection before its response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.types import Receive

from tidegate.service.request_errors import Detail, RequestError


def client_disconnected() -> RequestError:
    """The error of such a request: its event has the status 499, as in nginx."""
    return RequestError(499, Detail(("client",), "The client closed the connection", "client_gone"))


@asynccontextmanager
async def cancel_on_disconnect(receive: Receive) -> AsyncIterator[None]:
    """Cancel the block when the client closes its connection.

    Raises:
        RequestError: 499, the client closed it.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a coroutine always runs in a task)
    disconnected = False

    async def watch(cancel: Callable[[], object]) -> None:
        nonlocal disconnected
        while (await receive())["type"] != "http.disconnect":
            pass
        disconnected = True
        cancel()

    watcher = asyncio.create_task(watch(task.cancel))
    try:
        yield
    except asyncio.CancelledError:
        if disconnected and not task.uncancel():
            raise client_disconnected() from None
        raise
    finally:
        watcher.cancel()
