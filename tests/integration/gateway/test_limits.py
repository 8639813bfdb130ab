"""Requests over a limit are refused with a response that the client can read."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from support.eventually import eventually_async
from support.processes.gateway_process import (
    RETRY_AFTER,
    Behind,
    Gateway,
    StartGateway,
    post,
    send,
)

pytestmark = pytest.mark.integration

LIMIT = 65_536


@pytest.fixture
async def gateway(behind: Behind) -> Gateway:
    return (await behind({}, request_bytes=LIMIT))[0]


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


async def test_a_chunked_body_too_large_to_hold_is_refused_as_its_size_is_unknown(
    behind: Behind, session: aiohttp.ClientSession
) -> None:
    gateway, (replica,) = await behind({}, request_bytes=LIMIT, repeat_bytes=32_768)
    # Many headers of the maximum size leave the least room for the body.
    headers = {f"X-{n}": "a" * 120 for n in range(110)}
    for size, status in ((32_768, 200), (32_769, 411), (5_000_000, 411)):
        async with session.post(
            f"{gateway.url}/predict", data=chunks(size), headers=headers
        ) as answer:
            assert answer.status == status
            if status == 411:
                (problem,) = (await answer.json())["detail"]
                assert problem["type"] == "length_required"
                assert "larger than 32768 bytes needs a Content-Length" in problem["msg"]
    assert [len(body) for body in replica.bodies] == [32_768]


async def test_a_client_that_sends_everything_before_it_reads_gets_its_413(
    gateway: Gateway,
) -> None:
    assert [status for status, _, _ in await send_everything(gateway)] == [413] * 5


async def send_everything(gateway: Gateway) -> list[tuple[int, str | None, bytes]]:
    """The status, `Retry-After` and the body for five clients that send 5 MB before they read."""

    def send() -> tuple[int, str | None, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/predict", b"z" * 5_000_000)
            with connection.getresponse() as answer:
                return answer.status, answer.headers["Retry-After"], answer.read()

    return await asyncio.gather(*(asyncio.to_thread(send) for _ in range(5)))


async def test_a_client_that_sends_everything_before_it_reads_gets_its_503(behind: Behind) -> None:
    gateway, (replica,) = await behind(
        {"blocked": True}, slots=1, queue_length=1, request_bytes=8 * 2**20
    )
    accepted = [asyncio.create_task(post(gateway)) for _ in range(2)]
    await gateway.queued(1)
    for status, retry_after, body in await send_everything(gateway):
        assert status == 503
        assert retry_after in RETRY_AFTER
        assert json.loads(body)["detail"][0]["type"] == "queue_full"
    replica.release.set()
    assert await asyncio.gather(*accepted) == [200] * 2
    # Refused ones end first.
    reasons = [line["event"]["reason"] for line in await gateway.lines(7)]
    assert reasons == ["queue_length"] * 5 + [None] * 2
    # The alert and the autoscaler see all of them.
    assert await gateway.refused() == 5
    assert await gateway.arrived() == 7


# In 32 bits the larger ones are negative, 3 and -1.
@pytest.mark.parametrize("length", [5_000_000, 2**31 + 3, 2**32 + 3, 2**63 - 1])
async def test_a_client_with_expect_100_continue_gets_the_refusal_at_once(
    length: int, gateway: Gateway
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
    writer.write(f"{head}Content-Length: {length}\r\n\r\n".encode())
    # HAProxy would wait 10 s for the body.
    async with asyncio.timeout(9):
        assert (await reader.readline()).split()[1] == b"413"
    writer.close()


REFUSED = {
    "large headers": (b"GET /x", b"x: " + b"a" * 17_000 + b"\r\n", 431, "header_too_large"),
    "a long URL": (b"GET /" + b"a" * 17_000, b"", 414, "url_too_long"),
    "a long URL with headers": (
        b"GET /" + b"a" * 10_000,
        b"x: " + b"a" * 10_000 + b"\r\n",
        431,
        "header_too_large",
    ),
    "a method in lower case": (b"get /x", b"", 501, "method_not_supported"),
    "an unknown method": (b"FOO /x", b"", 501, "method_not_supported"),
}


@pytest.mark.parametrize(("target", "headers", "status", "kind"), REFUSED.values(), ids=REFUSED)
async def test_a_refusal_is_an_error_in_json(
    target: bytes, headers: bytes, status: int, kind: str, gateway: Gateway
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + b"\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"content-type: application/json" in head
    assert json.loads(body)["detail"][0]["type"] == kind
    (line,) = await gateway.lines(1)
    assert line["http"]["response"]["status_code"] == status


async def test_a_client_that_closes_its_side_before_the_response_is_told_so(
    gateway: Gateway,
) -> None:
    request = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    answer = await send(gateway.port, request)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"or the client closed its side of the connection before the response" in answer
    (line,) = await gateway.lines(1)
    assert line["event"]["outcome"] == "unknown"


NO_WAY_TO_METRICS = (
    "/metrics",
    "/metrics?x=1",
    "/metrics/",
    "/metrics/x",
    "/%6detrics",
    "/%6Detric%73",
    "%2fmetrics",
    "/%2Fmetrics",
    "//metrics",
    "/./metrics",
    "/%2e/metrics",
    "/x/../metrics",
    "/x/%2e%2E/metrics",
    "/x/..%2fmetrics",
    "/metrics/.",
    "/metrics/x/..",
    "/metrics/%zz",
    "/%6detrics%zz",
    "/metrics#x",
    "http://other/metrics",
    "http://other//metrics",
)


async def get(port: int, target: str) -> int:
    """The status of a request whose target is sent unchanged."""
    host = target.removeprefix("http://").partition("/")[0] if "://" in target else "x"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    try:
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()


async def test_the_metrics_of_a_replica_cannot_be_read_through_the_gateway(behind: Behind) -> None:
    gateway, (replica,) = await behind({})
    found = {target: await get(gateway.port, target) for target in NO_WAY_TO_METRICS}
    assert set(found.values()) <= {400, 404}, found
    assert [request.raw_path for request in replica.requests] == []
    for target in ("/v2/models/metrics/infer", "/a.b/..c?d=//./../metrics", "http://x/y"):
        assert await get(gateway.port, target) == 200, target


async def test_http_2_is_disabled_as_its_streams_would_bypass_the_connection_limit(
    gateway: Gateway,
) -> None:
    settings_frame = b"\0\0\0\4\0\0\0\0\0"
    answer = await send(gateway.port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings_frame)
    assert answer.startswith(b"HTTP/1.")


async def test_clients_that_hold_every_connection_do_not_block_prometheus(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.stack.gateway.configuration.CONNECTIONS", 50)
    gateway = await start_gateway([])
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(60):
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            stack.callback(writer.close)

        async def full() -> bool:
            return await gateway.metric("haproxy_frontend_current_sessions", proxy="http_in") == 50

        await eventually_async(full)
        # One connection per scrape, all at once.
        scrapes = [gateway.metric("haproxy_process_uptime_seconds") for _ in range(20)]
        assert len(await asyncio.gather(*scrapes)) == 20


async def test_a_silent_connection_ends_unanswered_before_a_slow_body_is_given_up(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway([])
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
    async with contextlib.AsyncExitStack() as stack:
        ends = []
        for sent in (head, head[:-2], b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            stack.callback(writer.close)
            writer.write(sent)
            ends.append(asyncio.create_task(reader.readline()))
        slow, *others = ends
        # A client that has opened it ahead would take an answer for that to its first request.
        assert [line[9:12] for line in await asyncio.gather(*others)] == [b"408", b""]
        assert not slow.done()
        slow.cancel()


async def test_one_source_cannot_take_every_connection(start_gateway: StartGateway) -> None:
    gateway = await start_gateway([], connections_per_source=3, unlimited_sources=["127.0.0.1"])

    async def refused(source: str) -> bool:
        """Whether the gateway closes a connection before anything is sent."""
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", gateway.port, local_addr=(source, 0)
            )
            stack.callback(writer.close)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            return not await reader.readline()
        except ConnectionError:
            return True

    async with contextlib.AsyncExitStack() as stack:
        assert [await refused("127.0.0.2") for _ in range(5)] == [False] * 3 + [True] * 2
        assert not await refused("127.0.0.3")
        assert [await refused("127.0.0.1") for _ in range(5)] == [False] * 5


async def test_waiting_bodies_are_limited_to_queue_bytes(
    behind: Behind, session: aiohttp.ClientSession
) -> None:
    gateway, (replica,) = await behind(
        {"blocked": True}, slots=1, request_bytes=LIMIT, queue_bytes=4 * LIMIT
    )
    url = f"{gateway.url}/predict"

    async def large() -> int:
        async with session.post(url, data=io.BytesIO(b"z" * (LIMIT - 1))) as answer:
            return answer.status

    waiting = [asyncio.create_task(large()) for _ in range(4)]
    await gateway.queued(3)
    for data in (io.BytesIO(b"z" * 20_000), chunks(100)):
        async with session.post(url, data=data) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] in RETRY_AFTER
            assert (await answer.json())["detail"][0]["type"] == "queue_full"
    assert await gateway.refused() == 2
    small = asyncio.create_task(post(gateway))
    await gateway.queued(4)
    replica.release.set()
    assert await asyncio.gather(*waiting, small) == [200] * 5
    # Answered requests free their bytes.
    assert [await large() for _ in range(5)] == [200] * 5


async def test_the_metrics_frontend_serves_only_metrics(
    gateway: Gateway, session: aiohttp.ClientSession
) -> None:
    base = f"http://127.0.0.1:{gateway.metrics_port}"
    async with session.get(f"{base}/metrics") as answer:
        assert answer.status == 200
        # Prometheus 3 refuses a scrape without one.
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    async with session.get(f"{base}/") as answer:
        assert answer.status == 404
