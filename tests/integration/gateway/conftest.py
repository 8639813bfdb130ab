"""A real HAProxy with our configuration, in front of small replicas that do as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from support.ports import free_port
from tidegate.runtime.metrics_text import sample_value
from tidegate.settings import Settings
from tidegate.stack.gateway import configuration, haproxy

DEADLINE_SECONDS = 60.0
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


async def post(gateway: Gateway, path: str = "/predict") -> int:
    """Send a small request; the status of its answer."""
    async with gateway.session.post(gateway.url + path, data=b"{}") as answer:
        await answer.read()
        return answer.status


async def send(port: int, raw: bytes) -> bytes:
    """Send it, end the sending, and read what comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    writer.write_eof()
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def until(
    condition: Callable[[], Awaitable[bool]], seconds: float = DEADLINE_SECONDS
) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  what is waited for is another process
            await asyncio.sleep(0.02)


@dataclass
class Replica:
    """Answers /predict as `answer` does; knows how many requests it works on at once."""

    port: int
    seconds: float = 0.0
    ready: bool = True
    status: int = 200
    reset: bool = False
    traced: bool = True
    busy: int = 0
    most_busy: int = 0
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    checks: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)
    held: bool = False
    _runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=32 * 2**20)
        app.router.add_get("/ready", self._ready)
        app.router.add_route("*", "/{path:.*}", self._work)
        # What the tests send on purpose is no error of the replica's.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def got(self, number: int) -> None:
        """Wait until so many requests have come."""

        async def there() -> bool:
            return len(self.requests) == number

        await until(there)

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
        self.most_busy = max(self.most_busy, self.busy)
        try:
            self.requests.append(request)
            self.bodies.append(await request.read())
            if self.held:
                await self.release.wait()
            await asyncio.sleep(self.seconds)
            if self.reset and request.transport is not None:
                request.transport.abort()
            return web.json_response(
                {"port": self.port},
                status=self.status,
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
        """End it, and wait until it has ended."""
        self.stopped = True
        self.process.terminate()
        await self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def metric(self, name: str, **labels: str) -> float:
        """The value of one series of its exporter; NaN if there is none."""
        async with self.session.get(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            text = await answer.text()
        found = sample_value(text, name, **labels)
        return math.nan if found is None else found

    async def arrived(self) -> float:
        """How many requests have come for the replicas; the gateway's own (waiting.lua) is none."""
        await self.holding()
        return await self.metric("haproxy_backend_sessions_total", proxy="model") - 1

    async def holding(self) -> None:
        """Wait until requests would wait if no replica were up."""

        async def taken() -> bool:
            labels = {"proxy": "model", "server": "waiting"}
            return await self.metric("haproxy_server_current_sessions", **labels) == 1

        await until(taken)

    async def ready_replicas(self, number: int) -> None:
        """Wait until so many replicas get requests."""

        async def there() -> bool:
            return await self.metric("haproxy_backend_active_servers", proxy="model") == number

        await until(there)

    async def queued(self, number: int) -> None:
        """Wait until so many requests wait in the queue."""

        async def there() -> bool:
            return await self.metric("haproxy_backend_current_queue", proxy="model") == number

        await until(there)

    async def lines(self, number: int) -> list[dict[str, Any]]:
        """The access log, as soon as it has so many lines."""

        async def there() -> bool:
            return self.output.read_bytes().count(b"\n") >= number

        await until(there)
        whole, _, _ = self.output.read_bytes().rpartition(b"\n")  # another may be half written
        return [json.loads(line) for line in whole.splitlines()]


StartGateway = Callable[..., Awaitable[Gateway]]
StartReplica = Callable[..., Awaitable[Replica]]
Kill = Callable[[], None]
SpawnReplica = Callable[[], Awaitable[tuple[str, Kill]]]


@pytest.fixture
def next_port() -> Callable[[], int]:
    return free_port


@pytest.fixture
def make_settings(next_port: Callable[[], int]) -> Callable[..., Settings]:
    def make(*, slots: int = 2, most_slots: int | None = None, **gateway_settings: Any) -> Settings:
        ports = {"port": next_port(), "metrics_port": next_port()}
        return Settings.model_validate(
            {
                "slots": {"per_replica": slots, "max": most_slots},
                "gateway": {**ports, **gateway_settings},
            }
        )

    return make


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=DEADLINE_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as opened:
        yield opened


@pytest.fixture
async def start_gateway(
    tmp_path: Path, make_settings: Callable[..., Settings], session: aiohttp.ClientSession
) -> AsyncIterator[StartGateway]:
    """Start it for these addresses. At the end it is stopped, and must have been in good health."""
    started: list[Gateway] = []

    async def start(addresses: list[str], **overrides: Any) -> Gateway:
        settings = make_settings(**overrides)
        config = configuration.write_config(settings, tmp_path / "a gateway", addresses)
        await haproxy.check(config)
        output = tmp_path / "access.ndjson"
        with output.open("wb") as stdout, (tmp_path / "stderr").open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *haproxy.argv(config), stdout=stdout, stderr=stderr
            )
        running = Gateway(
            process, settings.gateway.port, settings.gateway.metrics_port, output, session, config
        )
        started.append(running)

        async def answers() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                return await running.metric("haproxy_process_uptime_seconds") != 0
            return False

        await until(answers)
        return running

    yield start
    for running in started:
        assert running.stopped or not running.process.returncode, (tmp_path / "stderr").read_text()
        if running.process.returncode is None:
            await running.stop()


@pytest.fixture
async def start_replica(next_port: Callable[[], int]) -> AsyncIterator[StartReplica]:
    """A replica in this process; `start=False` leaves its port closed."""
    made: list[Replica] = []

    async def start(*, start: bool = True, **behaviour: Any) -> Replica:
        replica = Replica(next_port(), **behaviour)
        made.append(replica)
        if start:
            await replica.start()
        return replica

    yield start
    for replica in made:
        await replica.stop()


@pytest.fixture
async def spawn_replica(next_port: Callable[[], int]) -> AsyncIterator[SpawnReplica]:
    """A replica in a process of its own, which can be killed."""
    spawned: list[asyncio.subprocess.Process] = []

    async def spawn() -> tuple[str, Kill]:
        port = next_port()
        program = Path(__file__).with_name("replica.py")
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(program), str(port), env={**os.environ, "PYTHONWARNINGS": "ignore"}
        )
        spawned.append(process)
        return f"127.0.0.1:{port}", lambda: process.send_signal(signal.SIGKILL)

    yield spawn
    for process in spawned:
        if process.returncode is None:
            process.kill()
        await process.wait()
