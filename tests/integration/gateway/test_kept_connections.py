"""A replica may close a connection that the gateway has kept; no request may disappear with it."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from support.components import AT_NIGHT
from support.doubles.tcp_server import speaking
from support.processes.gateway_process import StartGateway
from support.processes.service_process import served

pytestmark = pytest.mark.integration

LENGTH = re.compile(rb"(?i)content-length: (\d+)")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class OneRequestAConnection:
    """A server that closes each connection when the second request arrives, without an answer."""

    def __init__(self) -> None:
        self.requests = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await self._request(reader)
        if head:
            writer.write(ANSWER)
            await writer.drain()
            if b"connection: close" not in head.lower():
                await self._request(reader)

    async def _request(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        if not head.startswith(b"GET /ready "):
            self.requests += 1
            await reader.readexactly(int(LENGTH.findall(head)[0]))
        return head


@pytest.fixture
async def closing() -> AsyncIterator[tuple[str, OneRequestAConnection]]:
    replica = OneRequestAConnection()
    async with speaking(replica) as port:
        yield f"127.0.0.1:{port}", replica


async def post(session: aiohttp.ClientSession, url: str, body: bytes = b"{}") -> list[int]:
    """The statuses of four requests, over one connection if it stays open."""
    statuses = []
    for _ in range(4):
        async with session.post(url, data=body) as answer:
            await answer.read()
            statuses.append(answer.status)
    return statuses


@pytest.mark.parametrize(
    ("path", "body"), [("/orders", b"{}"), ("/predict", bytes(200_000))], ids=["unsafe", "large"]
)
async def test_a_request_whose_kept_connection_the_replica_closes_gets_a_502_and_an_event(
    path: str,
    body: bytes,
    start_gateway: StartGateway,
    closing: tuple[str, OneRequestAConnection],
    session: aiohttp.ClientSession,
) -> None:
    address, replica = closing
    gateway = await start_gateway([address], keep_alive=True)
    await gateway.ready_replicas(1)
    statuses = await post(session, gateway.url + path, body)
    assert statuses == [200, 502, 200, 502]
    assert replica.requests == 4
    lines = await gateway.lines(4)
    assert [line["http"]["response"]["status_code"] for line in lines] == statuses


async def test_a_connection_that_is_not_kept_cannot_be_closed_as_a_request_arrives(
    start_gateway: StartGateway,
    closing: tuple[str, OneRequestAConnection],
    session: aiohttp.ClientSession,
) -> None:
    address, _ = closing
    gateway = await start_gateway([address], keep_alive=False)
    await gateway.ready_replicas(1)
    down = await gateway.metric("haproxy_server_downtime_seconds_total", server="model1")
    assert await post(session, f"{gateway.url}/orders") == [200] * 4
    assert len(await gateway.lines(4)) == 4
    assert await gateway.metric("haproxy_server_downtime_seconds_total", server="model1") == down


RAISING = """
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

@app.post("/orders/{number}")
async def order(number: int):
    if number % 10 == 0:
        raise ValueError(number)

def audit(number: int) -> None:
    if number % 10 == 0:
        raise ValueError(number)

@app.post("/audited/{number}")
async def audited(number: int, tasks: BackgroundTasks):
    tasks.add_task(audit, number)
"""


@pytest.mark.parametrize(
    ("path", "requests"),
    [("orders", 1_000), ("audited", 1_000), pytest.param("orders", 10_000, marks=AT_NIGHT)],
)
async def test_a_request_that_raises_breaks_off_no_other_one(
    path: str,
    requests: int,
    start_gateway: StartGateway,
    session: aiohttp.ClientSession,
    tmp_path: Path,
) -> None:
    (tmp_path / "orders.py").write_text(RAISING)
    numbers = iter(range(1, requests + 1))

    async def client(url: str) -> list[tuple[int, int]]:
        statuses = []
        for number in numbers:
            async with session.post(f"{url}/{path}/{number}") as answer:
                await answer.read()
                statuses.append((number, answer.status))
        return statuses

    with served(tmp_path, "orders:app", output=subprocess.DEVNULL) as replica:
        gateway = await start_gateway([f"127.0.0.1:{replica.port}"], keep_alive=True, slots=8)
        await gateway.ready_replicas(1)
        url = gateway.url
        answered = [pair for one in await asyncio.gather(*map(client, [url] * 8)) for pair in one]
    raised = 500 if path == "orders" else 200
    assert len(answered) == requests
    assert {pair for pair in answered if pair[1] != (200 if pair[0] % 10 else raised)} == set()
