"""Small ASGI applications, and the scope and the receive and send functions of a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope

Endpoint = Callable[[Request], Awaitable[Response]]


def app_with(endpoint: Endpoint, path: str = "/", **kwargs: Any) -> Starlette:
    return Starlette(routes=[Route(path, endpoint, methods=["GET", "POST"], **kwargs)])


def streaming(chunks: AsyncIterator[Any]) -> Starlette:
    async def stream(request: Request) -> Response:
        return StreamingResponse(chunks)

    return app_with(stream)


async def forever() -> AsyncIterator[bytes]:
    while True:
        yield b"more"
        await asyncio.sleep(0)


class ApplicationError(Exception):
    pass


async def ok(request: Request) -> Response:
    return PlainTextResponse("ok")


async def ignore(message: Message) -> None:
    pass


def http_scope(path: str, method: str = "GET") -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop"), (b"content-length", b"10")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


def receive_once() -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    return receive


def disconnected() -> Receive:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    return receive
