"""The end of a request by its response, complete or not; test_disconnects.py has those that a client ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from support.harnesses.telemetry_harness import Harness
from support.samples.asgi_apps import (
    ApplicationError,
    app_with,
    http_scope,
    ignore,
    ok,
    receive_once,
    streaming,
)
from tidegate.telemetry import TelemetryMiddleware, annotate, span


async def test_the_event_is_written_before_the_client_has_its_response(harness: Harness) -> None:
    app, written = app_with(ok), list[int]()
    harness.instrument(app)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            written.append(len(harness.events("request")))

    await app(http_scope("/"), receive_once(), send)
    assert written == [1]


async def test_a_stream_is_not_buffered_and_its_duration_ends_with_it(harness: Harness) -> None:
    seen: list[tuple[bytes, int]] = []

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"one", b"two"):
            yield chunk
            harness.clock.advance_ms(50)
            assert seen[-1][0] == chunk  # the client has it before the next one is generated
            assert not harness.events("request")

    app = streaming(chunks())
    harness.instrument(app)

    async def send(message: Message) -> None:
        if message.get("body"):
            seen.append((message["body"], harness.clock.now_ns))

    await app(http_scope("/"), receive_once(), send)
    assert [chunk for chunk, _ in seen] == [b"one", b"two"]
    assert harness.event("request")["event"]["duration"] == 100_000_000


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
async def test_each_kind_of_last_message_ends_the_request_once(
    harness: Harness, start: Message, rest: list[Message]
) -> None:
    async def send_all(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, **start})
        for message in rest:
            assert bool(harness.events("request")) is (message is rest[-1] and len(rest) == 2)
            await send(message)

    app = Starlette(routes=[Mount("/", send_all)])
    harness.instrument(app)
    await app(http_scope("/"), receive_once(), ignore)
    assert harness.event("request")["event"]["outcome"] == "success"


@pytest.mark.parametrize("fails", [False, True])
async def test_what_runs_after_the_answer_does_not_count(harness: Harness, *, fails: bool) -> None:
    async def later() -> None:
        harness.clock.advance_ms(1000)
        annotate(late=True)
        with span("too late"):
            pass
        if fails:
            raise ApplicationError

    async def endpoint(request: Request) -> Response:
        return Response(background=BackgroundTask(later))

    assert (await harness.get(endpoint, sample_ratio=1)).status_code == 200
    event = harness.event("request")
    assert (event["event"]["duration"], event["event"]["outcome"]) == (0, "success")
    assert "late" not in event["tidegate"]
    assert len(harness.events("span")) == 1


async def test_an_exception_in_a_stream_is_a_failure_of_status_200(harness: Harness) -> None:
    async def broken() -> AsyncIterator[str]:
        yield "first"
        harness.clock.advance_ms(20)
        raise ApplicationError("half-way")

    app = streaming(broken())
    harness.instrument(app, sample_ratio=0)
    async with harness.client(app) as client:
        await client.get("/")
    event = harness.event("request")
    assert event["http"]["response"]["status_code"] == 200
    assert (event["event"]["outcome"], event["event"]["duration"]) == ("failure", 20_000_000)
    assert event["error"]["message"] == "half-way"
    assert harness.events("span")


@pytest.mark.parametrize("set_up", ["instrument", "wrap", "add", "mounted"])
async def test_an_exception_in_a_stream_that_a_middleware_ends_is_a_failure(
    harness: Harness, set_up: str
) -> None:
    async def broken() -> AsyncIterator[str]:
        yield "first"
        raise ApplicationError("half-way")

    async def stream(request: Request) -> Response:
        return StreamingResponse(broken())

    async def after(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    app: Any = FastAPI(routes=[Route("/", stream)])
    app.middleware("http")(after)
    if set_up == "instrument":
        harness.instrument(app, sample_ratio=0)
    elif set_up == "mounted":
        app = Starlette(routes=[Mount("/", app)])
        harness.instrument(app, sample_ratio=0)
    elif set_up == "wrap":
        app = TelemetryMiddleware(app, harness.telemetry(sample_ratio=0))
    else:
        app.add_middleware(TelemetryMiddleware, telemetry=harness.telemetry(sample_ratio=0))
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(ApplicationError):
        await app(http_scope("/"), receive_once(), send)
    assert sent[-1]["more_body"] is False  # to the client it looks complete
    event = harness.event("request")
    assert (event["log"]["level"], event["error"]["message"]) == ("error", "half-way")
    assert harness.events("span")


async def test_an_exception_that_a_middleware_answers_is_no_failure(harness: Harness) -> None:
    async def boom(request: Request) -> Response:
        raise ApplicationError

    async def answer(request: Request, call_next: RequestResponseEndpoint) -> Response:
        try:
            return await call_next(request)
        except ApplicationError:
            return Response(status_code=409)

    app = FastAPI(routes=[Route("/", boom)])
    app.middleware("http")(answer)
    harness.instrument(app)
    async with harness.client(app) as client:
        assert (await client.get("/")).status_code == 409
    assert "error" not in harness.event("request")


@pytest.mark.parametrize("status", [502, 404])
async def test_an_exception_behind_a_5xx_is_found_inside_a_middleware(
    harness: Harness, status: int
) -> None:
    async def refuse(request: Request) -> Response:
        try:
            int("no copies")
        except ValueError as error:
            raise HTTPException(502) from error
        return Response()

    async def after(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.status_code = status
        return response

    app = FastAPI(routes=[Route("/", refuse)])
    app.middleware("http")(after)
    harness.instrument(app)
    async with harness.client(app) as client:
        assert (await client.get("/")).status_code == status
    error = harness.event("request").get("error", {})
    assert error.get("type") == ("ValueError" if status == 502 else None)


@pytest.mark.parametrize("known", [False, True])
async def test_a_killed_process_has_the_event_of_a_5xx_with_its_exception(
    harness: Harness, *, known: bool
) -> None:
    async def refuse(request: Request) -> Response:
        try:
            int("no copies")
        except ValueError as error:
            raise HTTPException(502) from (error if known else None)
        return Response()

    app, written = app_with(refuse), list[Any]()
    harness.instrument(app)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            written.append(harness.event("request")["error"]["message"])

    await app(http_scope("/"), receive_once(), send)
    assert [text.rpartition(": ")[2] for text in written] == [
        "'no copies'" if known else "Bad Gateway"
    ]


@pytest.mark.parametrize("inside_a_middleware", [False, True])
async def test_an_exception_that_was_handled_before_the_request_is_not_behind_its_5xx(
    harness: Harness, *, inside_a_middleware: bool
) -> None:
    async def busy(request: Request) -> Response:
        return Response(status_code=503)

    async def after(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    app = FastAPI(routes=[Route("/", busy)])
    if inside_a_middleware:
        app.middleware("http")(after)
    harness.instrument(app)
    try:
        int("a faster server")
    except ValueError:  # as in a program that then runs another server
        async with harness.client(app) as client:
            await client.get("/")
    assert harness.event("request")["error"]["type"] == "503"


@pytest.mark.parametrize(
    ("messages", "status", "message"),
    [
        ([], 500, "without a response"),
        ([
            {"type": "http.response.start", "status": 200, "headers": []},
            {"type": "http.response.body", "body": b"x", "more_body": True},
        ], 200, "before its response was complete"),
    ],
)  # fmt: skip
async def test_an_incomplete_response_is_a_failure(
    harness: Harness, messages: list[Message], status: int, message: str
) -> None:
    async def careless(scope: Scope, receive: Receive, send: Send) -> None:
        for each in messages:
            await send(each)

    app = Starlette(routes=[Mount("/", careless)])
    harness.instrument(app)
    await app(http_scope("/"), receive_once(), ignore)
    event = harness.event("request")
    assert event["http"]["response"]["status_code"] == status
    assert (event["event"]["outcome"], event["error"]["type"]) == ("failure", "incomplete_response")
    assert message in event["error"]["message"]
