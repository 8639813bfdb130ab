"""The middleware of the slots in front of Starlette: functions, streams, background tasks and exceptions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from support.eventually import eventually_async
from support.harnesses.slots_client import Client
from tidegate.serving import SlotMetrics, Slots
from tidegate.serving.slot_paths import SlotPaths
from tidegate.serving.slots_middleware import SlotsMiddleware
from tidegate.settings import Settings
from tidegate.telemetry.asgi import ASGIApp


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


@pytest.mark.parametrize(
    ("path", "first", "ended"),
    [("/plain", b"", "plain ended"), ("/thread-stream", b"first", "stream ended")],
)
async def test_a_thread_holds_its_slot_after_the_client_has_left(
    starlette: Starlettes, path: str, first: bytes, ended: str
) -> None:
    client = starlette.client(path)
    await eventually_async(lambda: starlette.slots.busy == 1 and client.content == first)
    client.gone.set()
    waiting = starlette.client("/task")
    await eventually_async(lambda: starlette.slots.waiting == 1)
    assert (starlette.slots.busy, starlette.steps) == (1, [])
    starlette.gate.set()
    await client.end()
    assert (await waiting.end()).status == 200
    assert starlette.steps == [ended, "task ended"]


@pytest.mark.parametrize("path", ["/stream", "/thread-stream"])
async def test_a_stream_holds_its_slot_until_its_last_byte(
    starlette: Starlettes, path: str
) -> None:
    client = starlette.client(path)
    await eventually_async(lambda: client.content == b"first")
    assert starlette.slots.busy == 1
    starlette.gate.set()
    await client.end()
    assert (client.content, starlette.slots.busy) == (b"firstlast", 0)


async def test_a_background_task_holds_no_slot(starlette: Starlettes) -> None:
    client = starlette.client("/task")
    await eventually_async(lambda: client.content == b"ok")
    await eventually_async(lambda: starlette.slots.busy == 0)
    assert starlette.steps == []
    starlette.gate.set()
    await client.end()
    assert starlette.steps == ["task ended"]


async def test_an_exception_releases_the_slot(starlette: Starlettes) -> None:
    client = starlette.client("/broken")
    with pytest.raises(ValueError, match="no"):
        await client.end()
    assert (client.status, starlette.slots.busy) == (500, 0)
