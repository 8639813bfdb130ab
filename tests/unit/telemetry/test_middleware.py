"""Which requests the middleware takes part in, what they carry on, and what it keeps apart."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message
from starlette.websockets import WebSocket

from tidegate.telemetry import annotate, fail, outgoing_headers, span

from .asgi import app_of, http_scope, ok
from .conftest import Bench, sample


async def test_a_websocket_passes_through_untouched(bench: Bench) -> None:
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        annotate(ignored=True)
        assert outgoing_headers() == {}
        await socket.send_text(await socket.receive_text())
        await socket.close()

    app = Starlette(routes=[WebSocketRoute("/ws", echo)])
    bench.instrument(app, sample_ratio=1)
    given: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hello"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return given.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {**http_scope("/ws"), "type": "websocket", "subprotocols": []}
    await app(scope, receive, send)
    assert [message["type"] for message in sent] == [
        "websocket.accept",
        "websocket.send",
        "websocket.close",
    ]
    assert sent[1]["text"] == "hello"
    assert bench.events() == []


@pytest.mark.parametrize("tracing", ["native", "opentelemetry", "off"])
async def test_quiet_paths_leave_nothing(bench: Bench, tracing: str) -> None:
    async def ready(request: Request) -> Response:
        annotate(ignored=True)
        with span("check"):
            return Response(status_code=503)

    app = Starlette(routes=[Route("/ready", ready), Route("/other", ok)])
    telemetry = bench.instrument(app, sample_ratio=1, tracing=tracing, quiet_paths=["/ready"])
    async with bench.client(app) as client:
        answer = await client.get("/ready")
    assert answer.headers["traceresponse"].endswith("-00")
    assert bench.events() == []
    assert sample(telemetry.registry, "_count") is None


@pytest.mark.parametrize(
    ("path", "root_path", "quiet"),
    [("/api/ready", "/api", True), ("/ready", "/api", True), ("/api/ready", "", False)],
)
async def test_quiet_paths_are_below_the_root_path(
    bench: Bench, path: str, root_path: str, quiet: bool
) -> None:
    app = Starlette(routes=[Route("/ready", ok), Route("/api/ready", ok)])
    bench.instrument(app)
    async with bench.client(app, root_path=root_path) as client:
        assert (await client.get(path)).status_code == 200
    assert (bench.events("request") == []) is quiet


async def test_what_was_begun_upstream_goes_on(bench: Bench) -> None:
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    sent: list[dict[str, str]] = []

    async def call(request: Request) -> Response:
        sent.append(outgoing_headers())
        with span("call"):
            sent.append(outgoing_headers())
        return Response()

    app = app_of(call)
    bench.instrument(app, sample_ratio=0)
    headers = {"traceparent": f"00-{trace}-{parent}-01", "tracestate": "vendor=x"}
    async with bench.client(app) as client:
        answer = await client.get("/", headers=headers)

    event = bench.event("request")
    assert event["trace"]["id"] == trace
    assert event["parent"]["id"] == parent
    own = event["span"]["id"]
    assert answer.headers["traceresponse"] == f"00-{trace}-{own}-01"
    child = next(e for e in bench.events("span") if e["span"]["name"] == "call")
    assert sent == [
        {"traceparent": f"00-{trace}-{own}-01", "tracestate": "vendor=x"},
        {"traceparent": f"00-{trace}-{child['span']['id']}-01", "tracestate": "vendor=x"},
    ]


async def test_outside_a_request_nothing_happens() -> None:
    annotate(ignored=True)
    fail("ignored", "ignored")
    with span("ignored") as ignored:
        ignored.set(also="ignored")
    assert outgoing_headers() == {}


async def test_requests_at_the_same_time_do_not_mix(bench: Bench) -> None:
    both = asyncio.Barrier(2)

    async def meet(request: Request) -> Response:
        annotate(me=request.path_params["me"])
        await both.wait()
        with span(request.path_params["me"]):
            await both.wait()
        return Response()

    app = app_of(meet, "/{me}")
    bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        await asyncio.gather(client.get("/a"), client.get("/b"))
    by_trace = {e["trace"]["id"]: e["tidegate"]["me"] for e in bench.events("request")}
    assert sorted(by_trace.values()) == ["a", "b"]
    for event in bench.events("span"):
        if event["span"]["kind"] == "internal":
            assert by_trace[event["trace"]["id"]] == event["span"]["name"]


async def test_a_sync_endpoint_and_a_yielding_dependency_are_part_of_the_request(
    bench: Bench,
) -> None:
    app = FastAPI()

    def connection() -> Any:
        with span("connection"):
            yield 1

    @app.get("/")
    def read(held: int = Depends(connection)) -> dict[str, int]:
        annotate(rows=held)
        with span("query"):
            return {"held": held}

    bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        assert (await client.get("/")).json() == {"held": 1}
    assert bench.event("request")["tidegate"]["rows"] == 1
    names = {e["span"]["name"] for e in bench.events("span")}
    assert names == {"GET /", "connection", "query"}


async def test_telemetry_that_fails_breaks_no_request_and_complains_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_of(ok)
    telemetry = bench.instrument(app)

    def broken(event: dict[str, Any]) -> None:
        raise ValueError("no way")

    monkeypatch.setattr(type(telemetry.writer), "write", lambda self, event: broken(event))
    async with bench.client(app) as client:
        assert [(await client.get("/")).status_code for _ in range(3)] == [200] * 3
    complaints = [r for r in caplog.records if r.name == "tidegate.telemetry"]
    assert len(complaints) == 1
