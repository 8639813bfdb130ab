"""HAProxy as the stack's gateway, and replicas behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from support.eventually import eventually_async
from tidegate.runtime.metrics_text import sample_value
from tidegate.settings import Settings
from tidegate.stack.gateway import haproxy
from tidegate.stack.gateway.access_log import ACCESS, access_event, constant_fields
from tidegate.stack.gateway.configuration import ADMIN_SOCKET
from tidegate.stack.gateway.runtime_api import RuntimeApi

DEADLINE_SECONDS = 60.0
RETRY_AFTER = {"1", "2", "3"}  # while little waits, in seconds
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


async def post(gateway: Gateway, path: str = "/predict") -> int:
    """Send a small request. Returns the status of its response."""
    async with gateway.session.post(gateway.url + path, data=b"{}") as answer:
        await answer.read()
        return answer.status


async def send(port: int, raw: bytes) -> bytes:
    """Send raw bytes, close the sending side, and read the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    writer.write_eof()
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@dataclass
class Replica:
    """A replica with controllable behaviour, which counts its concurrent requests."""

    port: int
    host: str = "127.0.0.1"
    seconds: float = 0.0
    ready: bool = True
    status: int = 200
    poison: str = ""  # requests for this path get a 500
    reset: bool = False
    traced: bool = True
    busy: int = 0
    max_busy: int = 0
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    checks: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)
    blocked: bool = False
    _runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=32 * 2**20)
        app.router.add_get("/ready", self._ready)
        app.router.add_route("*", "/{path:.*}", self._work)
        # No access log: tests send bad requests on purpose.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()

    async def wait_for_requests(self, number: int) -> None:
        """Wait until this number of requests has arrived."""
        await eventually_async(lambda: len(self.requests) == number)

    async def stop(self) -> None:
        self.release.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _ready(self, _: web.Request) -> web.Response:
        self.checks += 1
        return web.Response(status=200 if self.ready else 503)

    async def _work(self, request: web.Request) -> web.Response:
        self.busy += 1
        self.max_busy = max(self.max_busy, self.busy)
        try:
            self.requests.append(request)
            self.bodies.append(await request.read())
            if self.blocked:
                await self.release.wait()
            await asyncio.sleep(self.seconds)
            if self.reset and request.transport is not None:
                request.transport.abort()
            return web.json_response(
                {"port": self.port},
                status=500 if request.path == self.poison else self.status,
                headers={"traceresponse": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
                if self.traced
                else {},
            )
        finally:
            self.busy -= 1


@dataclass
class Gateway:
    """A running HAProxy."""

    process: asyncio.subprocess.Process
    port: int
    metrics_port: int
    output: Path
    session: aiohttp.ClientSession
    config: Path
    stopped: bool = False

    async def stop(self) -> None:
        """Stop it, and wait for its exit."""
        self.stopped = True
        self.process.terminate()
        await self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin(self) -> RuntimeApi:
        """Its runtime API."""
        return RuntimeApi(self.config.parent / ADMIN_SOCKET)

    async def metric(self, name: str, **labels: str) -> float:
        """The value of one series of its exporter; NaN if there is none."""
        async with self.session.get(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            text = await answer.text()
        found = sample_value(text, name, **labels)
        return math.nan if found is None else found

    async def arrived(self) -> float:
        """The number of requests that have arrived for the replicas, without the plug (waiting.lua)."""
        await self.wait_until_queueing()
        return await self.metric("haproxy_backend_sessions_total", proxy="model") - 1

    async def refused(self) -> float:
        """The number of requests that it refused because too many wait."""
        requests, responses = [
            await self.metric(f"haproxy_frontend_{name}_denied_total", proxy="http_in")
            for name in ("requests", "responses")
        ]
        return requests + responses

    async def wait_until_queueing(self) -> None:
        """Wait until requests can wait without a replica."""
        await self._reaches(1, "server_current_sessions", server="waiting")

    async def ready_replicas(self, number: int) -> None:
        """Wait until this number of replicas gets requests."""
        await self._reaches(number, "backend_active_servers")

    async def queued(self, number: int) -> None:
        """Wait until this number of requests is queued."""
        await self._reaches(number, "backend_current_queue")

    async def _reaches(self, number: int, name: str, **labels: str) -> None:
        async def reached() -> bool:
            return await self.metric(f"haproxy_{name}", proxy="model", **labels) == number

        await eventually_async(reached)

    async def lines(self, number: int) -> list[dict[str, Any]]:
        """The access events, as soon as there are this many."""
        await eventually_async(lambda: self.output.read_bytes().count(b"\n") >= number)
        whole, _, _ = self.output.read_bytes().rpartition(b"\n")  # the last line may be incomplete
        constant = constant_fields(Settings(), ACCESS)
        return [json.loads(access_event(line, constant) or b"") for line in whole.splitlines()]


async def start_haproxy(
    settings: Settings, config: Path, output: Path, session: aiohttp.ClientSession
) -> Gateway:
    """HAProxy with this configuration, which it has checked."""
    await haproxy.check(config)
    with output.open("wb") as stdout:
        process = await asyncio.create_subprocess_exec(*haproxy.argv(config), stdout=stdout)
    ports = settings.gateway.port, settings.gateway.metrics_port
    gateway = Gateway(process, *ports, output, session, config)

    async def answers() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return await gateway.metric("haproxy_process_uptime_seconds") != 0
        return False

    await eventually_async(answers)
    return gateway


async def post_for(
    gateway: Gateway,
    seconds: int,
    per_second: int,
    at: Mapping[int, Callable[[], Awaitable[None] | None]],
) -> list[int]:
    """Send requests at a rate, and do something when a second begins; returns the statuses."""
    loop, requests = asyncio.get_running_loop(), []
    begin = loop.time()
    for number in range(per_second * seconds):
        await asyncio.sleep(max(0.0, begin + number / per_second - loop.time()))
        second, rest = divmod(number, per_second)
        if not rest and second in at and (done := at[second]()):
            await done
        requests.append(asyncio.create_task(post(gateway)))
    return await asyncio.gather(*requests)


StartGateway = Callable[..., Awaitable[Gateway]]
StartReplica = Callable[..., Awaitable[Replica]]
Behind = Callable[..., Awaitable[tuple[Gateway, list[Replica]]]]
Kill = Callable[[], None]
SpawnReplica = Callable[[], Awaitable[tuple[str, Kill]]]
