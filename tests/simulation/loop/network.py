"""HTTP in the world: a session to Prometheus, the gateway's exporter and the resizer, which can fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import aiohttp
import orjson

from tidegate.resizer.client import ResizerClient
from tidegate.resizer.contract import (
    ReplicaStatus,
    ResizeLimitedError,
    Resizer,
    ResizeRefusedError,
    ResizerUnavailableError,
)

from .event_loop import OsProcess, check_alive
from .prometheus import Prometheus
from .world import World, caller, world

PROMETHEUS: Final = "http://prometheus:9090"
GATEWAY: Final = "http://127.0.0.1:8405/metrics"
RESIZER: Final = "http://resizer:9103"


@dataclass
class Response:
    """A response, and its content."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    @property
    def content(self) -> Response:
        """The stream of the body."""
        return self

    async def iter_any(self) -> AsyncIterator[bytes]:
        """The body in one piece."""
        yield self.body

    async def read(self) -> bytes:
        """The body."""
        return self.body

    async def text(self, encoding: str) -> str:
        """The body as text."""
        return self.body.decode(encoding)


class Server(Protocol):
    """What answers a request."""

    async def __call__(self, method: str, body: Any) -> Response:
        """Answer it."""
        ...


class Session:
    """In the place of aiohttp's: each request goes to a server of the world, or fails by a fault."""

    def __init__(self, servers: dict[str, Server], seconds: float | None = None) -> None:
        self._servers, self._seconds = servers, seconds

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        timeout: aiohttp.ClientTimeout | None = None,  # noqa: ASYNC109 - aiohttp's name
        json: Any = None,
        **_: Any,
    ) -> AsyncIterator[Response]:
        """Send a request."""
        check_alive()
        seconds = timeout.total if timeout else self._seconds
        server = next(server for prefix, server in self._servers.items() if url.startswith(prefix))
        async with asyncio.timeout(seconds):
            await world().delay()
            response = await server(method, json)
            await world().delay()
        yield response

    def get(self, url: str, **request: Any) -> Any:
        """As `request`."""
        return self.request("GET", url, **request)


async def fail_as(kind: str) -> None:
    """What happens to a request by a fault of its part."""
    if kind in {"lost", "lost-request"}:
        raise aiohttp.ClientConnectionError
    if kind == "slow":
        await asyncio.sleep(30)


class PrometheusServer:
    """Prometheus over HTTP. `told_all` says of each reader whether its last answer was complete and true."""

    def __init__(self, prometheus: Prometheus, stale_seconds: float) -> None:
        self._prometheus, self._stale_seconds = prometheus, stale_seconds
        self.told_all: dict[str, bool] = {}

    async def __call__(self, method: str, body: Any) -> Response:
        """Answer the query for every series."""
        del method, body
        kind = world().kind("prometheus")
        self.told_all[caller()] = False
        await fail_as(kind)
        if kind == "error":
            return Response(503, b"starting")
        content, whole = self._prometheus.answer(self._stale_seconds)
        self.told_all[caller()] = whole
        return Response(200, content)


async def exporter(method: str, body: Any) -> Response:
    """The gateway's exporter."""
    del method, body
    this = world()
    kind = this.kind("exporter")
    await fail_as(kind)
    answered = this.loop.create_future()
    if this.gateway.process is None:
        raise aiohttp.ClientConnectionError

    def answer() -> None:
        if not answered.done():
            answered.set_result(this.gateway.page())

    this.gateway.when_it_runs(answer)
    page = str(await answered).encode()
    return Response(200, page[:40] if kind == "torn" else page)


class ResizerServer:
    """The resizer's HTTP interface: what tidegate/resizer/server.py answers, without aiohttp around it.

    The request is handled in the resizer's process. `on_resize` gets each caller and its number first.
    """

    def __init__(self, this: World) -> None:
        self.world = this
        self.process: OsProcess | None = None
        self.resizer: Resizer | None = None
        self.on_resize: list[Any] = []

    async def __call__(self, method: str, body: Any) -> Response:
        """Answer a request."""
        this, sender, kind = self.world, caller(), self.world.kind("resizer")
        await fail_as(kind if kind != "slow" or this.random.random() < 0.5 else "")
        if self.process is None or self.process.dead or self.resizer is None:
            raise aiohttp.ClientConnectionError
        answered: asyncio.Future[Response] = this.loop.create_future()
        self.process.spawn(self._handle(self.resizer, sender, method, body, answered))
        if kind == "slow":
            await asyncio.sleep(30)
        response = await answered
        if kind == "lost-answer":
            raise aiohttp.ClientConnectionError
        return Response(200, b"<html>") if kind == "garbage" else response

    async def _handle(
        self, resizer: Resizer, sender: str, method: str, body: Any, to: asyncio.Future[Response]
    ) -> None:
        await self.world.delay()
        try:
            if method == "GET":
                status = await resizer.status()
            else:
                for check in self.on_resize:
                    check(sender, body["desired"])
                status = await resizer.resize(body["desired"], body.get("slots"))
                self.world.say(f"{sender}: resize to {body['desired']} accepted")
            response = _of(status)
        except ResizeRefusedError as error:
            response = _error(409, error)
        except ResizeLimitedError as error:
            response = _error(429, error)
            response.headers["Retry-After"] = str(int(error.retry_after_seconds) + 1)
        except ResizerUnavailableError as error:
            response = _error(503, error)
        if not to.done():
            to.set_result(response)


def _of(status: ReplicaStatus) -> Response:
    return Response(200, status.model_dump_json().encode())


def _error(code: int, error: Exception) -> Response:
    return Response(code, orjson.dumps({"error": str(error)}))


def client(server: ResizerServer, timeout_seconds: float) -> ResizerClient:
    """The production client, whose session is one of the world."""

    class Client(ResizerClient):
        @asynccontextmanager
        async def _session(self) -> AsyncIterator[Any]:
            yield Session({RESIZER: server}, self._timeout.total)

    return Client(RESIZER, timeout_seconds=timeout_seconds)
