"""What is too large is refused with an answer that the client gets to read."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
from collections.abc import AsyncIterator

import aiohttp
import pytest

from .conftest import Gateway, StartGateway, StartReplica

pytestmark = pytest.mark.integration

LIMIT = 65_536


@pytest.fixture
async def gateway(start_gateway: StartGateway, start_replica: StartReplica) -> Gateway:
    replica = await start_replica()
    started = await start_gateway([replica.address], request_bytes=LIMIT)
    await started.ready_replicas(1)
    return started


async def chunks(size: int) -> AsyncIterator[bytes]:
    for begin in range(0, size, 10_000):
        yield b"z" * min(10_000, size - begin)


@pytest.mark.parametrize(
    ("size", "status"), [(0, 200), (LIMIT, 200), (LIMIT + 1, 413), (5_000_000, 413)]
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_up_to_the_limit_passes_and_a_larger_one_gets_a_413(
    size: int, status: int, chunked: bool, gateway: Gateway, session: aiohttp.ClientSession
) -> None:
    data = chunks(size) if chunked else io.BytesIO(b"z" * size)
    async with session.post(f"{gateway.url}/predict", data=data) as answer:
        assert answer.status == status
        if status == 413:
            (problem,) = (await answer.json())["detail"]
            assert problem == {
                "loc": ["body"],
                "msg": f"the body is larger than {LIMIT} bytes",
                "type": "body_too_large",
            }
    (line,) = await gateway.lines(1)
    assert line["http"]["response"]["status_code"] == status


async def test_a_client_that_sends_everything_before_it_reads_gets_its_413(
    gateway: Gateway,
) -> None:
    def send() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/predict", b"z" * 5_000_000)
            with connection.getresponse() as answer:
                return answer.status

    assert await asyncio.gather(*(asyncio.to_thread(send) for _ in range(5))) == [413] * 5


async def test_a_client_that_asks_before_it_sends_is_answered_at_once(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000000\r\n\r\n"
    writer.write(head)
    # HAProxy would wait 10 s for the body.
    async with asyncio.timeout(9):
        assert (await reader.readline()).split()[1] == b"413"
    writer.close()


async def test_large_headers_are_refused(gateway: Gateway, session: aiohttp.ClientSession) -> None:
    headers = {"X-Long": "a" * 17_000}
    async with session.post(f"{gateway.url}/predict", data=b"{}", headers=headers) as answer:
        assert answer.status == 431
        assert (await answer.json())["detail"][0]["loc"] == ["header"]


async def test_metrics_of_a_replica_are_not_to_be_had_through_the_gateway(
    gateway: Gateway, session: aiohttp.ClientSession
) -> None:
    async with session.get(f"{gateway.url}/metrics") as answer:
        assert answer.status == 404


async def test_the_exporter_gives_its_metrics_and_nothing_else(
    gateway: Gateway, session: aiohttp.ClientSession
) -> None:
    base = f"http://127.0.0.1:{gateway.metrics_port}"
    async with session.get(f"{base}/metrics") as answer:
        assert answer.status == 200
        # Prometheus 3 refuses a scrape without one.
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    async with session.get(f"{base}/") as answer:
        assert answer.status == 404
