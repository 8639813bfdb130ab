from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from tidegate.telemetry import annotate, fail, outgoing_headers, span

from .conftest import START_NS, Bench

Endpoint = Callable[[Request], Awaitable[Response]]


def app_of(endpoint: Endpoint, path: str = "/", **kwargs: Any) -> Starlette:
    return Starlette(routes=[Route(path, endpoint, methods=["GET", "POST"], **kwargs)])


async def test_a_request_leaves_one_wide_event(bench: Bench) -> None:
    async def predict(request: Request) -> Response:
        bench.time.pass_ms(35)
        annotate(model={"name": "flights"}, rows=3)
        annotate(model={"version": "7"})
        return JSONResponse({})

    app = app_of(predict, "/predict/{kind}")
    bench.instrument(app, sample_ratio=0)
    async with bench.client(app) as client:
        answer = await client.post("/predict/light?token=secret", json={})

    event = bench.event("request")
    assert event.pop("ecs")
    assert len(event["event"].pop("id")) == 32
    assert event == {
        "@timestamp": "2023-11-14T22:13:20.035000Z",
        "message": "POST /predict/light 200 in 35 ms",
        "log": {"level": "info"},
        "event": {
            "dataset": "tidegate.request",
            "action": "request",
            "outcome": "success",
            "duration": 35_000_000,
            "start": "2023-11-14T22:13:20.000000Z",
        },
        "service": {
            "name": "shop",
            "version": "0",
            "environment": "local",
            "node": {"name": "shop-1"},
        },
        "data_stream": {"type": "logs", "dataset": "tidegate.request", "namespace": "default"},
        "http": {"request": {"method": "POST"}, "response": {"status_code": 200}},
        "url": {"path": "/predict/light"},
        "trace": {"id": f"{0xABC << 64 | 1:032x}"},
        "span": {"id": f"{1:016x}"},
        "tidegate": {
            "route": "/predict/{kind}",
            "model": {"name": "flights", "version": "7"},
            "rows": 3,
        },
    }
    assert answer.headers["traceresponse"] == f"00-{0xABC << 64 | 1:032x}-{1:016x}-00"


async def test_the_duration_counts_from_the_arrival_at_the_gateway(bench: Bench) -> None:
    async def slow(request: Request) -> Response:
        bench.time.pass_ms(100)
        return Response()

    app = app_of(slow)
    telemetry = bench.instrument(app)
    stamp = f"t={(START_NS - 300_000_000) // 1000}"
    async with bench.client(app) as client:
        await client.get("/", headers={"x-request-start": stamp})

    event = bench.event("request")["event"]
    assert event["duration"] == 400_000_000
    assert event["start"] == "2023-11-14T22:13:19.700000Z"
    assert sample(telemetry.registry, "_sum", http_route="/") == pytest.approx(0.4)


@pytest.mark.parametrize("stamp", ["t=0", "nonsense", f"t={(START_NS + 10**9) // 1000}"])
async def test_an_arrival_that_cannot_be_right_is_not_used(bench: Bench, stamp: str) -> None:
    app = app_of(ok)
    bench.instrument(app)
    async with bench.client(app) as client:
        await client.get("/", headers={"x-request-start": stamp})
    assert bench.event("request")["event"]["duration"] == 0


@pytest.mark.parametrize(
    ("status", "level", "outcome", "error"),
    [
        (200, "info", "success", None),
        (302, "info", "success", None),
        (404, "warn", "success", None),
        (503, "error", "failure", {"type": "503", "message": "Service Unavailable"}),
        (599, "error", "failure", {"type": "599", "message": "HTTP status 599"}),
    ],
)
async def test_the_status_decides_level_and_outcome(
    bench: Bench, status: int, level: str, outcome: str, error: dict[str, str] | None
) -> None:
    async def answer(request: Request) -> Response:
        return Response(status_code=status)

    app = app_of(answer)
    bench.instrument(app)
    async with bench.client(app) as client:
        await client.get("/")
    event = bench.event("request")
    assert event["log"]["level"] == level
    assert event["event"]["outcome"] == outcome
    assert event.get("error") == error


@pytest.mark.parametrize("status", [422, 503])
async def test_the_application_can_say_why_it_failed(bench: Bench, status: int) -> None:
    async def refuse(request: Request) -> Response:
        fail("no_slot", "all 2 slots are taken")
        return Response(status_code=status)

    app = app_of(refuse)
    bench.instrument(app)
    async with bench.client(app) as client:
        await client.get("/")
    assert bench.event("request")["error"] == {
        "type": "no_slot",
        "message": "all 2 slots are taken",
    }


class OwnError(Exception):
    pass


async def test_an_unhandled_exception_is_in_the_event_with_its_stack(bench: Bench) -> None:
    async def boom(request: Request) -> Response:
        raise OwnError("the model is gone")

    app = app_of(boom)
    bench.instrument(app, sample_ratio=0)
    async with bench.client(app) as client:
        answer = await client.get("/")
    assert answer.status_code == 500
    event = bench.event("request")
    assert event["http"]["response"]["status_code"] == 500
    assert event["event"]["outcome"] == "failure"
    assert event["error"]["type"].endswith("OwnError")
    assert event["error"]["message"] == "the model is gone"
    assert "in boom" in event["error"]["stack_trace"]
    assert answer.headers["traceresponse"].endswith("-01")
    assert answer.headers["traceresponse"][3:35] == event["trace"]["id"]


async def test_an_exception_that_cannot_be_printed_breaks_nothing(bench: Bench) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    async def boom(request: Request) -> Response:
        raise MuteError

    app = app_of(boom)
    bench.instrument(app)
    async with bench.client(app) as client:
        assert (await client.get("/")).status_code == 500
    assert bench.event("request")["error"]["message"] == "<MuteError>"


async def test_an_exception_that_the_app_answers_itself_is_no_exception_of_ours(
    bench: Bench,
) -> None:
    async def boom(request: Request) -> Response:
        raise OwnError

    async def handle(request: Request, error: Exception) -> Response:
        return PlainTextResponse("sorry", status_code=409)

    app = Starlette(routes=[Route("/", boom)], exception_handlers={OwnError: handle})
    bench.instrument(app)
    async with bench.client(app) as client:
        assert (await client.get("/")).status_code == 409
    assert "error" not in bench.event("request")


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


async def test_the_event_is_written_before_the_client_has_its_answer(bench: Bench) -> None:
    app = app_of(ok)
    bench.instrument(app)
    written: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            written.append(len(bench.events("request")))

    await app(http_scope("/"), receive_once(), send)
    assert written == [1]


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

    async with asyncio.timeout(5):
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


async def test_a_head_request_is_a_request(bench: Bench) -> None:
    app = app_of(ok)
    bench.instrument(app)
    async with bench.client(app) as client:
        assert (await client.head("/")).status_code == 200
    assert bench.event("request")["http"]["request"]["method"] == "HEAD"


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


@pytest.mark.parametrize("value", ["\ud800", 2**70, float("nan"), {1: {2: b"\xff"}}, object()])
async def test_whatever_is_annotated_the_event_is_written(bench: Bench, value: Any) -> None:
    async def answer(request: Request) -> Response:
        annotate(value=value)
        fail("bad", "\ud800")
        return Response()

    app = app_of(answer)
    bench.instrument(app)
    async with bench.client(app) as client:
        assert (await client.get("/")).status_code == 200
    assert "value" in bench.event("request")["tidegate"]


async def test_what_a_caller_annotates_is_never_changed(bench: Bench) -> None:
    shared = {"model": {"name": "flights"}}

    async def answer(request: Request) -> Response:
        annotate(info=shared)
        annotate(info={"model": {"version": "2"}}, x=1)
        annotate(info={"rows": 1})
        return Response()

    app = app_of(answer)
    bench.instrument(app)
    async with bench.client(app) as client:
        await client.get("/")
    assert shared == {"model": {"name": "flights"}}
    assert bench.event("request")["tidegate"]["info"] == {
        "model": {"name": "flights", "version": "2"},
        "rows": 1,
    }


async def ok(request: Request) -> Response:
    return PlainTextResponse("ok")


async def drop(message: Message) -> None:
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
    given: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not given:
            await asyncio.Event().wait()
        return given.pop()

    return receive


def left() -> Receive:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    return receive


def sample(registry: CollectorRegistry, suffix: str, **labels: str) -> float | None:
    found = [
        held.value
        for family in registry.collect()
        for held in family.samples
        if held.name == f"http_server_request_duration_seconds{suffix}"
        and labels.items() <= held.labels.items()
    ]
    return sum(found) if found else None
