"""Graceful shutdown of a replica: running, waiting and arriving requests get a response."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from support.eventually import eventually
from support.processes.service_process import service
from tidegate.service.model.artefact import Artefact

pytestmark = pytest.mark.integration


async def wait_for_responses(statuses: list[int], number: int) -> None:
    """Wait until there are `number` responses."""
    async with asyncio.timeout(60):
        while len(statuses) < number:  # noqa: ASYNC110  another process sends them
            await asyncio.sleep(0.01)


def test_requests_that_run_or_wait_when_the_listener_closes_get_a_response(
    flights: Artefact, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    body = {"instances": samples[:1], "work": "heavy"}
    device = {"TIDEGATE_DEVICE__SIMULATED": "true", "TIDEGATE_DEVICE__HEAVY_SECONDS": "1.5"}
    slots = {"TIDEGATE_SLOTS__PER_REPLICA": "1", "TIDEGATE_SLOTS__WAIT_SECONDS": "10"}
    with service(tmp_path, flights.path, **device, **slots) as found:
        eventually(lambda: found.ready() == 200, "ready")

        async def send_and_shut_down() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=found.url, timeout=60) as client:
                sent = [asyncio.create_task(client.post("/predict", json=body)) for _ in range(3)]
                await asyncio.to_thread(
                    eventually, lambda: found.metric("tidegate_slots_busy") == 1, "a slot is busy"
                )
                found.process.send_signal(signal.SIGTERM)
                return await asyncio.gather(*sent)

        start = time.monotonic()
        responses = asyncio.run(send_and_shut_down())
        assert time.monotonic() - start > 4  # far beyond the grace period of 1.2 s
        assert found.process.wait(60) == 0
    assert [response.status_code for response in responses] == [200] * 3
    assert responses[-1].headers["connection"] == "close"


def request_for(row: dict[str, Any]) -> bytes:
    """The bytes of a request, to send on a socket."""
    body = orjson.dumps({"instances": [row]})
    return (
        b"POST /predict HTTP/1.1\r\nHost: flights\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )


def test_a_new_connection_is_served_or_refused_and_never_reset(
    flights: Artefact, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    request = request_for(samples[0])

    statuses: list[int] = []

    async def connect_repeatedly(port: int) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.write(request)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            statuses.append(200)
            writer.close()
            await writer.wait_closed()

    with service(tmp_path, flights.path) as found:
        eventually(lambda: found.ready() == 200, "ready")

        async def connect_and_shut_down() -> None:
            clients = asyncio.gather(*(connect_repeatedly(found.port) for _ in range(4)))
            await wait_for_responses(statuses, 100)
            found.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(clients, 60)

        asyncio.run(connect_and_shut_down())
        assert found.process.wait(60) == 0
        assert len(found.events()) == len(statuses)


def test_a_second_ctrl_c_stops_at_once(
    flights: Artefact, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    device = {"TIDEGATE_DEVICE__SIMULATED": "true", "TIDEGATE_DEVICE__LIGHT_SECONDS": "20"}
    with service(tmp_path, flights.path, **device) as found:
        eventually(lambda: found.ready() == 200, "ready")
        with socket.create_connection(("127.0.0.1", found.port)) as client:
            client.sendall(request_for(samples[0]))
            found.process.send_signal(signal.SIGINT)
            eventually(lambda: found.ready() == 503, "draining")
            start = time.monotonic()
            found.stop(signal.SIGINT)
            assert time.monotonic() - start < 19  # the device would take 20
