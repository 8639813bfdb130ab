"""The end of a request whose client has left, or that is cancelled."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from support.harnesses.telemetry_harness import Harness, duration_sample
from support.samples.asgi_apps import (
    app_with,
    disconnected,
    forever,
    http_scope,
    ignore,
    receive_once,
    streaming,
)
from tidegate.telemetry import outgoing_headers


async def test_a_disconnect_during_a_stream_aborts_the_request(harness: Harness) -> None:
    app, begun = streaming(forever()), asyncio.Event()
    telemetry = harness.instrument(app, sample_ratio=0)

    async def receive() -> Message:
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            begun.set()

    async with asyncio.timeout(60):
        await app(http_scope("/"), receive, send)
    event = harness.event("request")
    assert event["error"]["type"] == "client_disconnect"
    assert (event["log"]["level"], event["event"]["outcome"]) == ("warn", "failure")
    assert event["http"]["response"]["status_code"] == 200
    assert event["message"] == "GET / client disconnected in 0.00 ms"
    assert not harness.events("span")
    assert duration_sample(telemetry.registry, "_count", http_response_status_code="200") == 1


async def reading(request: Request) -> Response:
    await request.body()
    raise AssertionError("there is no body")


async def leaving(request: Request) -> Response:
    raise ClientDisconnect


def refusing() -> Starlette:
    """FastAPI responds to an incomplete body with a 400, which nobody receives."""
    app = FastAPI()

    @app.post("/")
    async def read(body: dict[str, int]) -> dict[str, int]:
        return body

    return app


@pytest.mark.parametrize(
    ("app", "receive", "raises"),
    [
        (app_with(reading), disconnected, True),
        (app_with(leaving), receive_once, True),
        (refusing(), disconnected, False),
    ],
)
async def test_after_a_disconnect_there_is_no_status(
    harness: Harness, app: Starlette, receive: Callable[[], Receive], *, raises: bool
) -> None:
    telemetry = harness.instrument(app)
    with pytest.raises(ClientDisconnect) if raises else nullcontext():
        await app(http_scope("/", "POST"), receive(), ignore)
    event = harness.event("request")
    assert "response" not in event["http"]
    assert event["error"]["type"] == "client_disconnect"
    assert duration_sample(telemetry.registry, "_count", http_response_status_code="") == 1


async def test_an_error_while_sending_is_a_disconnect(harness: Harness) -> None:
    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    app = streaming(forever())
    harness.instrument(app)
    scope = {**http_scope("/"), "asgi": {"version": "3.0", "spec_version": "2.4"}}
    with pytest.raises(ClientDisconnect):
        await app(scope, receive_once(), send)
    event = harness.event("request")
    assert event["http"]["response"]["status_code"] == 200
    assert event["error"]["type"] == "client_disconnect"


async def test_a_disconnect_after_a_complete_response_is_none(harness: Harness) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"sorry"})
        while (await receive())["type"] != "http.disconnect":  # as Django does
            pass

    app = Starlette(routes=[Mount("/", failing)])
    harness.instrument(app, sample_ratio=0)
    await app(http_scope("/"), disconnected(), ignore)
    event = harness.event("request")
    assert event["http"]["response"]["status_code"] == 500
    assert (event["log"]["level"], event["event"]["outcome"]) == ("error", "failure")
    assert event["error"]["type"] == "500"
    assert harness.events("span")


def hanging(harness: Harness, started: asyncio.Event) -> Starlette:
    async def hang(request: Request) -> Response:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    app = app_with(hang)
    harness.instrument(app)
    return app


async def test_a_cancelled_request_is_a_failure(harness: Harness) -> None:
    started = asyncio.Event()
    app = hanging(harness, started)
    task = asyncio.create_task(app(http_scope("/"), receive_once(), ignore))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    event = harness.event("request")
    assert event["event"]["outcome"] == "failure"
    assert event["error"]["type"] == "asyncio.exceptions.CancelledError"
    assert "response" not in event["http"]


async def test_an_abandoned_request_that_is_closed_in_another_context_is_recorded(
    harness: Harness,
) -> None:
    app = hanging(harness, asyncio.Event())
    serving: Any = app(http_scope("/"), receive_once(), ignore)
    contextvars.copy_context().run(serving.send, None)
    serving.close()
    assert harness.event("request")["error"]["type"] == "GeneratorExit"
    assert outgoing_headers() == {}
