"""The middleware of the slots: who takes one, for how long, and who is refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from support.harnesses.served_app import until
from support.samples.asgi_apps import http_scope
from tidegate.serving import NoSlotError, SlotMetrics, Slots, acquire_slot, manual_slots
from tidegate.serving.slot_paths import SlotPaths
from tidegate.serving.slots_middleware import SlotsMiddleware
from tidegate.settings import Settings
from tidegate.telemetry.asgi import ASGIApp, Message


@dataclass
class Client:
    """One request and its connection; the client disconnects when the test says so."""

    app: ASGIApp
    path: str = "/work"
    body: tuple[bytes, ...] = (b"",)
    sent: list[Message] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.gone = asyncio.Event()
        self._messages: list[Message] = [
            {"type": "http.request", "body": part, "more_body": number < len(self.body)}
            for number, part in enumerate(self.body, 1)
        ]

    async def _receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if not self.gone.is_set():
            self.sent.append(message)

    def start(self) -> Client:
        call = self.app(http_scope(self.path, "POST"), self._receive, self._send)
        self.task = asyncio.ensure_future(call)
        return self

    async def end(self) -> Client:
        assert self.task is not None
        await asyncio.wait_for(self.task, 30)
        return self

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


class Shop:
    """An application whose requests end when the test lets them."""

    def __init__(self, count: int = 1, **settings: Any) -> None:
        self.let, self.served, self.received = asyncio.Event(), 0, b""
        self.registry = CollectorRegistry()
        found = Settings(slots={"per_replica": count, **settings})
        self.slots = Slots(
            count,
            wait_length=found.slots.wait_length,
            wait_seconds=found.slots.wait_seconds,
            metrics=SlotMetrics(self.registry),
        )
        self.app = SlotsMiddleware(self.serve, self.slots, SlotPaths(found, self.serve))

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            self.received += message["body"]
            if not message["more_body"]:
                break
        await self.let.wait()
        self.served += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    def client(self, path: str = "/work", *body: bytes) -> Client:
        return Client(self.app, path, body or (b"",)).start()

    def seconds_counted(self) -> float | None:
        return self.registry.get_sample_value("tidegate_slot_seconds_count")


async def test_requests_beyond_the_slots_wait_and_are_served_in_turn() -> None:
    shop = Shop(2)
    clients = [shop.client() for _ in range(5)]
    await until(lambda: shop.slots.waiting == 3)
    assert shop.slots.busy == 2
    shop.let.set()
    assert [(await client.end()).status for client in clients] == [200] * 5
    assert (shop.slots.busy, shop.slots.waiting, shop.seconds_counted()) == (0, 0, 5)


async def test_a_refused_request_gets_503_and_when_to_come_back() -> None:
    shop = Shop(wait_length=0, wait_seconds=1.5)
    first = shop.client()
    await until(lambda: shop.slots.busy == 1)
    refused = await shop.client().end()
    assert refused.status == 503
    assert (b"retry-after", b"2") in refused.sent[0]["headers"]
    (detail,) = orjson.loads(refused.content)["detail"]
    assert detail["type"] == "no_slot"
    assert detail["msg"] == "All 1 slots are busy and 0 requests wait"
    shop.let.set()
    await first.end()
    assert shop.served == 1


async def test_a_wait_that_is_too_long_is_a_503() -> None:
    shop = Shop(wait_seconds=0.01)
    first = shop.client()
    await until(lambda: shop.slots.busy == 1)
    refused = await shop.client().end()
    assert (refused.status, shop.slots.waiting) == (503, 0)
    shop.let.set()
    await first.end()


async def test_a_client_that_leaves_while_it_waits_leaves_the_queue() -> None:
    shop = Shop()
    first = shop.client()
    leaving, staying = shop.client(), shop.client()
    await until(lambda: shop.slots.waiting == 2)
    leaving.gone.set()
    await leaving.end()
    assert (leaving.sent, shop.slots.waiting, shop.slots.busy) == ([], 1, 1)
    shop.let.set()
    await first.end()
    assert (await staying.end()).status == 200
    assert (shop.served, shop.slots.busy, shop.seconds_counted()) == (2, 0, 2)


async def test_what_a_client_sends_while_it_waits_reaches_the_application() -> None:
    shop = Shop()
    first = shop.client()
    await until(lambda: shop.slots.busy == 1)
    second = shop.client("/work", b"a" * 40_000, b"b" * 40_000, b"c" * 40_000)
    await until(lambda: shop.slots.waiting == 1)
    shop.let.set()
    await first.end()
    assert (await second.end()).status == 200
    assert shop.received == b"a" * 40_000 + b"b" * 40_000 + b"c" * 40_000


async def test_a_slot_is_held_until_the_application_ends_although_the_client_left() -> None:
    shop = Shop()
    client = shop.client()
    await until(lambda: shop.slots.busy == 1)
    client.gone.set()
    waiting = shop.client()
    await until(lambda: shop.slots.waiting == 1)
    assert shop.slots.busy == 1
    shop.let.set()
    await client.end()
    assert (await waiting.end()).status == 200
    assert shop.slots.busy == 0


async def test_a_cancelled_request_releases_its_slot_or_its_place_in_the_queue() -> None:
    shop = Shop()
    first, second = shop.client(), shop.client()
    await until(lambda: shop.slots.waiting == 1)
    for client in (second, first):
        assert client.task is not None
        client.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.task
    assert (shop.slots.busy, shop.slots.waiting) == (0, 0)


PROBES = [
    "/live",
    "/ready",
    "/metrics",
    "/docs",
    "/docs/oauth2-redirect",
    "/redoc",
    "/openapi.json",
]


@pytest.mark.parametrize(
    ("settings", "path", "counts"),
    [
        *[({}, path, False) for path in PROBES],
        ({}, "/", True),
        ({}, "/predict", True),
        ({}, "/readyness", True),
        ({"telemetry": {"quiet_paths": ("/ping",)}}, "/ping", False),
        ({"slots": {"paths": ("/predict", "/v2/")}}, "/predict", True),
        ({"slots": {"paths": ("/predict", "/v2/")}}, "/predict/batch", True),
        ({"slots": {"paths": ("/predict", "/v2/")}}, "/predictions", False),
        ({"slots": {"paths": ("/predict", "/v2/")}}, "/v2", True),
        ({"slots": {"paths": ("/predict", "/v2/")}}, "/v2/models", True),
        ({"slots": {"paths": ("/",)}}, "/docs", True),
    ],
)
def test_the_path_decides_whether_a_request_takes_a_slot(
    settings: dict[str, Any], path: str, counts: bool
) -> None:
    assert SlotPaths(Settings(**settings), Shop().serve).count(path) is counts


async def test_a_request_that_does_not_count_is_served_without_a_slot() -> None:
    shop = Shop(paths=("/predict",))
    first = shop.client("/predict")
    await until(lambda: shop.slots.busy == 1)
    free = shop.client("/items")
    shop.let.set()
    assert (await free.end()).status == 200
    await first.end()
    assert shop.seconds_counted() == 1


async def test_websockets_and_the_lifespan_take_no_slot() -> None:
    seen: list[tuple[str, int]] = []
    shop = Shop()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], shop.slots.busy))

    middleware = SlotsMiddleware(app, shop.slots, SlotPaths(Settings(), app))
    for kind in ("websocket", "lifespan"):
        await middleware(
            {"type": kind, "path": "/predict"}, Client(app)._receive, Client(app)._send
        )
    assert seen == [("websocket", 0), ("lifespan", 0)]


@dataclass
class Starlettes:
    """Starlette endpoints of each kind behind the middleware."""

    slots: Slots
    app: ASGIApp
    gate: threading.Event
    steps: list[str]

    def client(self, path: str) -> Client:
        return Client(self.app, path).start()


@pytest.fixture
def starlette() -> Iterator[Starlettes]:
    gate, steps = threading.Event(), list[str]()
    slots = Slots(1, wait_length=8, wait_seconds=30, metrics=SlotMetrics(CollectorRegistry()))

    def plain(_: Request) -> Response:
        assert gate.wait(30)
        steps.append("plain ended")
        return PlainTextResponse("ok")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.to_thread(gate.wait, 30)
        steps.append("stream ended")
        yield b"last"

    def blocking() -> Iterator[bytes]:
        yield b"first"
        assert gate.wait(30)
        steps.append("stream ended")
        yield b"last"

    async def after() -> None:
        await asyncio.to_thread(gate.wait, 30)
        steps.append("task ended")

    async def stream(_: Request) -> Response:
        return StreamingResponse(pieces())

    async def thread_stream(_: Request) -> Response:
        return StreamingResponse(blocking())

    async def with_task(_: Request) -> Response:
        return PlainTextResponse("ok", background=BackgroundTask(after))

    async def broken(_: Request) -> Response:
        raise ValueError("no")

    routes: dict[str, Callable[[Request], Response | Awaitable[Response]]] = {
        "/plain": plain,
        "/stream": stream,
        "/thread-stream": thread_stream,
        "/task": with_task,
        "/broken": broken,
    }
    app = Starlette(
        routes=[Route(path, endpoint, methods=["POST"]) for path, endpoint in routes.items()]
    )
    yield Starlettes(slots, SlotsMiddleware(app, slots, SlotPaths(Settings(), app)), gate, steps)
    gate.set()


async def test_a_plain_function_holds_its_slot_while_its_thread_works(
    starlette: Starlettes,
) -> None:
    client = starlette.client("/plain")
    await until(lambda: starlette.slots.busy == 1)
    client.gone.set()
    waiting = starlette.client("/task")
    await until(lambda: starlette.slots.waiting == 1)
    assert starlette.steps == []
    starlette.gate.set()
    await client.end()
    assert (await waiting.end()).status == 200
    assert starlette.steps == ["plain ended", "task ended"]


@pytest.mark.parametrize("path", ["/stream", "/thread-stream"])
async def test_a_stream_holds_its_slot_until_its_last_byte(
    starlette: Starlettes, path: str
) -> None:
    client = starlette.client(path)
    await until(lambda: client.content == b"first")
    assert starlette.slots.busy == 1
    starlette.gate.set()
    await client.end()
    assert (client.content, starlette.slots.busy) == (b"firstlast", 0)


async def test_a_stream_in_a_thread_holds_its_slot_after_the_client_has_left(
    starlette: Starlettes,
) -> None:
    client = starlette.client("/thread-stream")
    await until(lambda: client.content == b"first")
    client.gone.set()
    waiting = starlette.client("/task")
    await until(lambda: starlette.slots.waiting == 1)
    assert (starlette.slots.busy, starlette.steps) == (1, [])
    starlette.gate.set()
    await client.end()
    assert (await waiting.end()).status == 200
    assert starlette.steps[0] == "stream ended"


async def test_a_background_task_holds_no_slot(starlette: Starlettes) -> None:
    client = starlette.client("/task")
    await until(lambda: client.content == b"ok")
    await until(lambda: starlette.slots.busy == 0)
    assert starlette.steps == []
    starlette.gate.set()
    await client.end()
    assert starlette.steps == ["task ended"]


async def test_an_exception_releases_the_slot(starlette: Starlettes) -> None:
    client = starlette.client("/broken")
    with pytest.raises(ValueError, match="no"):
        await client.end()
    assert (client.status, starlette.slots.busy) == (500, 0)


@pytest.mark.parametrize(
    ("messages", "busy"),
    [
        ([{"type": "http.response.body", "body": b"x", "more_body": True}], 1),
        ([{"type": "http.response.body", "body": b"x"}], 0),
        ([{"type": "http.response.pathsend", "path": "/x"}], 0),
        ([{"type": "http.response.body", "body": b"x"}, {"type": "http.response.trailers"}], 0),
    ],
)
async def test_the_last_message_of_each_kind_of_response_releases_the_slot(
    messages: list[Message], busy: int
) -> None:
    shop = Shop()
    trailers = messages[-1]["type"] == "http.response.trailers"
    after: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "trailers": trailers})
        for message in messages:
            assert shop.slots.busy == 1
            await send(message)
        after.append(shop.slots.busy)

    await Client(SlotsMiddleware(app, shop.slots, SlotPaths(Settings(), app))).start().end()
    assert (after, shop.slots.busy) == ([busy], 0)


@asynccontextmanager
async def manual(shop: Shop, *paths: str) -> AsyncIterator[ASGIApp]:
    """An application that acquires its slot itself, after it has answered a request for nothing."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with await acquire_slot():
            await shop.serve(scope, receive, send)

    manual_slots(app, *paths)
    yield SlotsMiddleware(app, shop.slots, SlotPaths(Settings(), app))


async def test_an_application_can_acquire_its_slots_itself() -> None:
    shop = Shop(wait_length=0)
    async with manual(shop) as app:
        first = Client(app).start()
        await until(lambda: shop.slots.busy == 1)
        refused = await Client(app).start().end()
        shop.let.set()
        await first.end()
    assert (first.status, refused.status, shop.slots.busy) == (200, 503, 0)
    assert (b"retry-after", b"2") in refused.sent[0]["headers"]


async def test_an_application_can_acquire_slots_itself_at_some_paths() -> None:
    shop = Shop(2)
    async with manual(shop, "/chat") as app:
        clients = [Client(app, path).start() for path in ("/chat", "/work")]
        # The middleware acquires the slot of /work, so the application's own acquire is without limit.
        await until(lambda: shop.slots.busy == 2)
        shop.let.set()
        assert [(await client.end()).status for client in clients] == [200, 200]
    assert shop.seconds_counted() == 2


async def test_outside_a_replica_there_is_no_limit() -> None:
    with await acquire_slot() as one, await acquire_slot() as other:
        assert one is other


async def test_a_refusal_after_the_response_has_begun_is_raised() -> None:
    shop = Shop(wait_length=0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with await acquire_slot():
            pass

    manual_slots(app)
    with await shop.slots.acquire(), pytest.raises(NoSlotError):
        await Client(SlotsMiddleware(app, shop.slots, SlotPaths(Settings(), app))).start().end()
