"""Silent, slow and many connections: each server of ours still answers, and holds no more than its limit."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    closing,
    suppress,
)
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from support.eventually import eventually_async
from support.ports import free_port
from tidegate.console.run import ConsoleServer
from tidegate.runtime import metrics_server
from tidegate.runtime.connections import LIMIT, Connections
from tidegate.runtime.daemon import run_async_daemon
from tidegate.runtime.http_server import add_metrics_route, listen, serve_listener

HOST = "127.0.0.1"
PEEK = socket.MSG_PEEK | socket.MSG_DONTWAIT
Serve = Callable[[Connections], AbstractAsyncContextManager[int]]


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("answers", "Whether it answers.", registry=registry).set(1)
    return registry


@asynccontextmanager
async def _of_threads(connections: Connections) -> AsyncIterator[int]:
    with closing(metrics_server.MetricsHttpServer(_registry(), HOST, 0, connections)) as server:
        yield server.server_port


@asynccontextmanager
async def _of_aiohttp(connections: Connections) -> AsyncIterator[int]:
    app = web.Application()
    add_metrics_route(app, _registry())
    listener = socket.create_server((HOST, 0))
    async with serve_listener(app, listener, 1.0, connections):
        yield listener.getsockname()[1]


@asynccontextmanager
async def _of_uvicorn(connections: Connections) -> AsyncIterator[int]:
    async def metrics(request: Request) -> Response:
        await request.body()
        return PlainTextResponse("answers 1.0")

    async def stream(request: Request) -> Response:
        async def events() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(events())

    async def endless(request: Request) -> Response:
        async def events() -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(0)
                yield bytes(1 << 20)

        return StreamingResponse(events())

    app = Starlette(
        routes=[
            Route("/metrics", metrics, methods=["GET", "POST"]),
            Route("/stream", stream),
            Route("/endless", endless),
        ]
    )
    server = ConsoleServer(app, connections)
    with socket.create_server((HOST, 0)) as listener:
        task = asyncio.create_task(server.serve([listener]))
        yield listener.getsockname()[1]
        server.should_exit = server.force_exit = True
        await task


SERVERS = pytest.mark.parametrize(
    "serve", [_of_threads, _of_aiohttp, _of_uvicorn], ids=["threads", "aiohttp", "uvicorn"]
)


async def _answers(port: int) -> bool:
    async with httpx.AsyncClient() as client:
        response = await client.get(f"http://{HOST}:{port}/metrics", timeout=30)
    return "answers 1.0" in response.text


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def _connect(stack: ExitStack, port: int, data: bytes = b"") -> socket.socket:
    connection = stack.enter_context(socket.create_connection((HOST, port)))
    connection.sendall(data)
    return connection


@SERVERS
async def test_beyond_the_limit_the_longest_silent_connection_is_closed(serve: Serve) -> None:
    async with serve(Connections(8)) as port:
        with ExitStack() as stack:
            silent = [_connect(stack, port) for _ in range(40)]
            assert await _answers(port)
            await eventually_async(lambda: sum(map(_closed, silent)) >= 33)
            assert not _closed(silent[-1])


@SERVERS
@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nHost: a\r\n"])
async def test_a_head_that_does_not_end_has_a_time_limit(serve: Serve, sent: bytes) -> None:
    async with serve(Connections(8, wait_seconds=1.0)) as port:
        with ExitStack() as stack:
            slow = _connect(stack, port, sent)
            await eventually_async(lambda: _closed(slow))
            assert await _answers(port)


async def test_bodies_that_do_not_come_give_way_to_a_request() -> None:
    async with _of_uvicorn(Connections(8)) as port:
        with ExitStack() as stack:
            head = b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
            slow = [_connect(stack, port, head) for _ in range(8)]
            assert await _answers(port)
            await eventually_async(lambda: any(map(_closed, slow)))


@pytest.mark.parametrize("last", [1, 2, 3])
async def test_headers_that_end_in_another_packet_are_complete(last: int) -> None:
    async with _of_uvicorn(Connections(8, wait_seconds=2.0)) as port:
        with ExitStack() as stack:
            request = b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
            stream = _connect(stack, port, request[:-last])
            assert await _answers(port)
            stream.sendall(request[-last:])
            silent = _connect(stack, port)
            await eventually_async(lambda: _closed(silent))
            assert stream.recv(1000)
            assert not _closed(stream)


async def test_a_live_page_stays_beside_silent_connections_and_gives_way_to_a_request() -> None:
    async with _of_uvicorn(Connections(4, wait_seconds=1.0)) as port:
        with ExitStack() as stack:
            request = b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
            streams = []
            for _ in range(3):
                streams.append(_connect(stack, port, request))
                await eventually_async(lambda: bool(streams[-1].recv(100, PEEK)))
            silent = [_connect(stack, port) for _ in range(20)]
            await eventually_async(lambda: all(map(_closed, silent)))
            for stream in streams:
                stream.recv(1000)
            assert not any(map(_closed, streams))
            streams.append(_connect(stack, port, request))
            await eventually_async(lambda: bool(streams[-1].recv(100, PEEK)))
            assert await _answers(port)
            assert [_closed(stream) for stream in streams[:2]] == [True, False]


async def test_a_client_that_does_not_read_counts_as_waiting() -> None:
    closed: set[object] = set()

    class Observed(Connections):
        def closed(self, key: object) -> None:
            closed.add(key)
            super().closed(key)

    async with _of_uvicorn(Observed(4, wait_seconds=2.0)) as port:
        with ExitStack() as stack:
            reader = _connect(stack, port, b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            await eventually_async(lambda: bool(reader.recv(1, PEEK)))
            assert await _answers(port)
            await eventually_async(lambda: len(closed) == 2)  # that of the answer, and the reader's


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 40, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_quarter_of_the_descriptors_is_for_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[int] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    connections = Connections(LIMIT)
    for number in range(20):
        connections.opened(number, partial(closed.append, number))
    assert closed == [0, 1, 2, 3]


@pytest.mark.usefixtures("few_descriptors")
def test_without_descriptors_a_daemon_says_so_in_one_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    port = free_port()

    async def main() -> int:
        server = await asyncio.start_server(lambda reader, writer: None, HOST, port)
        with ExitStack() as stack:
            with suppress(OSError):  # until no descriptor is left for the client either
                for _ in range(80):
                    _connect(stack, port)
            for _ in range(50):
                await asyncio.sleep(0)
        server.close()
        return 0

    assert run_async_daemon("part", main) == 0
    said = capfd.readouterr().err
    assert said == (
        "part: cannot accept a connection or open a file: too many open files; raise `ulimit -n`\n"
    )


@pytest.mark.usefixtures("few_descriptors")
def test_without_descriptors_threads_wait_before_they_accept_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files, waited = ExitStack(), list[float]()

    def pause(seconds: float) -> None:
        waited.append(seconds)
        files.close()

    monkeypatch.setattr(metrics_server, "time", SimpleNamespace(sleep=pause))
    with (
        closing(metrics_server.MetricsHttpServer(_registry(), HOST, 0)) as server,
        socket.socket() as client,
    ):
        with suppress(OSError):
            while True:
                files.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        client.connect((HOST, server.server_port))
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 200")
    assert waited == [metrics_server.ACCEPT_AGAIN_SECONDS]


def test_the_body_of_a_response_does_not_wait_for_the_client_to_confirm_its_headers() -> None:
    with (
        listen(HOST, 0, "console.port") as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
