"""When a request has ended: its answer is complete, or broke off, or its client has left."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from tidegate.telemetry import annotate, outgoing_headers, span

from .asgi import OwnError, app_of, drop, http_scope, left, ok, receive_once
from .conftest import Bench, sample


async def test_the_event_is_written_before_the_client_has_its_answer(bench: Bench) -> None:
    app = app_of(ok)
    bench.instrument(app)
    written: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            written.append(len(bench.events("request")))

    await app(http_scope("/"), receive_once(), send)
    assert written == [1]


async def test_a_stream_lasts_until_its_end_and_is_never_held_back(bench: Bench) -> None:
    seen: list[tuple[bytes, int]] = []

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"one", b"two"):
            yield chunk
            bench.time.pass_ms(50)
            assert seen[-1][0] == chunk  # it is with the client before the next is made
            assert not bench.events("request")

    async def stream(request: Request) -> Response:
        return StreamingResponse(chunks())

    app = app_of(stream)
    bench.instrument(app)

    async def send(message: Message) -> None:
        if message.get("body"):
            seen.append((message["body"], bench.time.now_ns))

    await app(http_scope("/"), receive_once(), send)
    assert [chunk for chunk, _ in seen] == [b"one", b"two"]
    assert bench.event("request")["event"]["duration"] == 100_000_000


@pytest.mark.parametrize(
    ("start", "rest"),
    [
        ({"trailers": True}, [
            {"type": "http.response.body", "body": b"x"},
            {"type": "http.response.trailers", "headers": [], "more_trailers": True},
            {"type": "http.response.trailers", "headers": []},
        ]),
        ({}, [{"type": "http.response.pathsend", "path": "/x"}]),
        ({}, [{"type": "http.response.body"}, {"type": "http.response.body"}]),
    ],
)  # fmt: skip
async def test_every_way_to_end_an_answer_ends_it_once(
    bench: Bench, start: Message, rest: list[Message]
) -> None:
    async def send_all(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, **start})
        for message in rest:
            assert bool(bench.events("request")) is (message is rest[-1] and len(rest) == 2)
            await send(message)

    app = Starlette(routes=[Mount("/", send_all)])
    bench.instrument(app)
    await app(http_scope("/"), receive_once(), drop)
    assert bench.event("request")["event"]["outcome"] == "success"


async def test_what_runs_after_the_answer_does_not_count(bench: Bench) -> None:
    async def later() -> None:
        bench.time.pass_ms(1000)
        annotate(late=True)
        with span("too late"):
            pass

    async def answer(request: Request) -> Response:
        return Response(background=BackgroundTask(later))

    app = app_of(answer)
    bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        await client.get("/")
    event = bench.event("request")
    assert event["event"]["duration"] == 0
    assert "late" not in event["tidegate"]
    assert len(bench.events("span")) == 1


async def test_an_exception_after_the_answer_leaves_its_event_alone(bench: Bench) -> None:
    async def later() -> None:
        raise OwnError

    async def answer(request: Request) -> Response:
        return Response(background=BackgroundTask(later))

    app = app_of(answer)
    bench.instrument(app)
    async with bench.client(app) as client:
        assert (await client.get("/")).status_code == 200
    assert bench.event("request")["event"]["outcome"] == "success"


async def test_an_exception_after_the_answer_began_is_a_failure_of_status_200(
    bench: Bench,
) -> None:
    async def broken() -> AsyncIterator[str]:
        yield "first"
        bench.time.pass_ms(20)
        raise OwnError("half-way")

    async def stream(request: Request) -> Response:
        return StreamingResponse(broken())

    app = app_of(stream)
    bench.instrument(app, sample_ratio=0)
    async with bench.client(app) as client:
        await client.get("/")
    event = bench.event("request")
    assert event["http"]["response"]["status_code"] == 200
    assert event["event"]["outcome"] == "failure"
    assert event["event"]["duration"] == 20_000_000
    assert event["error"]["message"] == "half-way"
    assert bench.events("span")


@pytest.mark.parametrize(
    ("messages", "status", "said"),
    [
        ([], 500, "without an answer"),
        (
            [
                {"type": "http.response.start", "status": 200, "headers": []},
                {"type": "http.response.body", "body": b"x", "more_body": True},
            ],
            200,
            "before its answer was complete",
        ),
    ],
)
async def test_an_app_that_does_not_complete_its_answer_has_failed(
    bench: Bench, messages: list[Message], status: int, said: str
) -> None:
    async def careless(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    app = Starlette(routes=[Mount("/", careless)])
    bench.instrument(app)
    await app(http_scope("/"), receive_once(), drop)
    event = bench.event("request")
    assert event["http"]["response"]["status_code"] == status
    assert event["event"]["outcome"] == "failure"
    assert event["error"]["type"] == "incomplete_response"
    assert said in event["error"]["message"]


async def test_a_client_that_leaves_during_a_stream_aborts_it(bench: Bench) -> None:
    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"more"
            await asyncio.sleep(0)

    async def stream(request: Request) -> Response:
        return StreamingResponse(forever())

    app = app_of(stream)
    telemetry = bench.instrument(app, sample_ratio=0)
    streaming = asyncio.Event()

    async def receive() -> Message:
        await streaming.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            streaming.set()

    async with asyncio.timeout(60):
        await app(http_scope("/"), receive, send)
    event = bench.event("request")
    assert event["error"]["type"] == "client_disconnect"
    assert event["log"]["level"] == "warn"
    assert event["event"]["outcome"] == "failure"
    assert event["http"]["response"]["status_code"] == 200
    assert event["message"] == "GET / left by its client in 0.00 ms"
    assert not bench.events("span")
    assert sample(telemetry.registry, "_count", http_response_status_code="200") == 1


async def test_a_client_that_leaves_before_the_answer_leaves_no_status(bench: Bench) -> None:
    async def read(request: Request) -> Response:
        await request.body()
        raise AssertionError("there is no body")

    app = app_of(read)
    telemetry = bench.instrument(app)
    with pytest.raises(ClientDisconnect):
        await app(http_scope("/", "POST"), left(), drop)
    event = bench.event("request")
    assert "response" not in event["http"]
    assert event["error"]["type"] == "client_disconnect"
    assert sample(telemetry.registry, "_count", http_response_status_code="") == 1


async def test_a_500_made_up_for_a_client_that_left_is_no_status(bench: Bench) -> None:
    async def leave(request: Request) -> Response:
        raise ClientDisconnect

    app = app_of(leave)
    bench.instrument(app)
    with pytest.raises(ClientDisconnect):
        await app(http_scope("/"), receive_once(), drop)
    event = bench.event("request")
    assert "response" not in event["http"]
    assert event["error"]["type"] == "client_disconnect"


async def test_a_server_that_says_so_by_an_error_tells_that_the_client_left(bench: Bench) -> None:
    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"more"

    async def stream(request: Request) -> Response:
        return StreamingResponse(forever())

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    app = app_of(stream)
    bench.instrument(app)
    scope = {**http_scope("/"), "asgi": {"version": "3.0", "spec_version": "2.4"}}
    with pytest.raises(ClientDisconnect):
        await app(scope, receive_once(), send)
    event = bench.event("request")
    assert event["http"]["response"]["status_code"] == 200
    assert event["error"]["type"] == "client_disconnect"


async def test_an_answer_to_nobody_has_no_status(bench: Bench) -> None:
    app = FastAPI()

    @app.post("/")
    async def read(body: dict[str, int]) -> dict[str, int]:
        return body

    bench.instrument(app)
    # FastAPI answers a body that breaks off with a 400; nobody is left to get it.
    await app(http_scope("/", "POST"), left(), drop)
    event = bench.event("request")
    assert "response" not in event["http"]
    assert event["error"]["type"] == "client_disconnect"


async def test_a_cancelled_request_is_a_failure(bench: Bench) -> None:
    started = asyncio.Event()

    async def hang(request: Request) -> Response:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    app = app_of(hang)
    bench.instrument(app)
    task = asyncio.create_task(app(http_scope("/"), receive_once(), drop))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    event = bench.event("request")
    assert event["event"]["outcome"] == "failure"
    assert event["error"]["type"] == "asyncio.exceptions.CancelledError"
    assert "response" not in event["http"]


async def test_a_request_that_is_thrown_away_elsewhere_is_written_down(bench: Bench) -> None:
    async def hang(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError("never")

    app = app_of(hang)
    bench.instrument(app)
    serving: Any = app(http_scope("/"), receive_once(), drop)
    contextvars.copy_context().run(serving.send, None)
    serving.close()
    assert bench.event("request")["error"]["type"] == "GeneratorExit"
    assert outgoing_headers() == {}
