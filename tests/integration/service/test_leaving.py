"""A replica that is told to end: what works, waits or arrives by then is answered."""

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

from support.service_process import Service, service, until
from tidegate.service.model.artefact import Artefact

pytestmark = pytest.mark.integration


async def send_until_told(
    found: Service, body: bytes, told: asyncio.Event, statuses: list[int]
) -> None:
    """Send one request after the other over a kept connection, as the gateway does, until told to stop."""
    headers = {"content-type": "application/json"}
    async with httpx.AsyncClient(base_url=found.url, timeout=60) as client:
        while not told.is_set():
            statuses.append(
                (await client.post("/predict", content=body, headers=headers)).status_code
            )


async def answers(statuses: list[int], number: int) -> None:
    """Wait until there are so many."""
    async with asyncio.timeout(60):
        while len(statuses) < number:  # noqa: ASYNC110  another process gives them
            await asyncio.sleep(0.01)


async def check_health(found: Service, told: asyncio.Event) -> None:
    """Look at /ready as the gateway does, only more often, and tell when it fails."""
    async with httpx.AsyncClient(base_url=found.url, timeout=60) as client:
        while (await client.get("/ready")).status_code == 200:  # noqa: ASYNC110 (it is what a gateway does)
            await asyncio.sleep(0.05)
    told.set()


def test_no_request_is_lost_when_a_replica_leaves_under_load(
    flights: Artefact, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    body = orjson.dumps({"instances": samples[:1]})
    device = {"TIDEGATE_DEVICE__SIMULATED": "true", "TIDEGATE_DEVICE__LIGHT_SECONDS": "0.05"}
    with service(tmp_path, flights.path, **device) as found:
        until(lambda: found.ready() == 200, "ready")

        answered: list[int] = []

        async def load_and_leave() -> None:
            told = asyncio.Event()
            clients = [send_until_told(found, body, told, answered) for _ in range(8)]
            checking = asyncio.create_task(check_health(found, told))
            working = asyncio.gather(*clients)
            await answers(answered, 8 * 2)
            found.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(working, 60)
            await checking

        asyncio.run(load_and_leave())
        assert found.process.wait(60) == 0
        assert found.ready() is None
        events = found.events()
    assert set(answered) == {200}
    assert len(events) == len(answered)
    assert {event["event"]["outcome"] for event in events} == {"success"}


def test_requests_that_work_or_wait_when_the_door_closes_are_answered(
    flights: Artefact, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    body = {"instances": samples[:1], "work": "heavy"}
    device = {"TIDEGATE_DEVICE__SIMULATED": "true", "TIDEGATE_DEVICE__HEAVY_SECONDS": "1.5"}
    slots = {"TIDEGATE_SLOTS__PER_REPLICA": "1", "TIDEGATE_SLOTS__WAIT_SECONDS": "10"}
    with service(tmp_path, flights.path, **device, **slots) as found:
        until(lambda: found.ready() == 200, "ready")

        async def send_and_leave() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=found.url, timeout=60) as client:
                sent = [asyncio.create_task(client.post("/predict", json=body)) for _ in range(3)]
                await asyncio.to_thread(
                    until, lambda: found.metric("tidegate_slots_busy") == 1, "a slot is busy"
                )
                found.process.send_signal(signal.SIGTERM)
                return await asyncio.gather(*sent)

        start = time.monotonic()
        answers = asyncio.run(send_and_leave())
        assert time.monotonic() - start > 4  # far beyond the grace of 1.2 s
        assert found.process.wait(60) == 0
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[-1].headers["connection"] == "close"


def request_for(row: dict[str, Any]) -> bytes:
    """The bytes of a request, for who has a connection and no client."""
    body = orjson.dumps({"instances": [row]})
    return (
        b"POST /predict HTTP/1.1\r\nHost: flights\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )


def test_a_new_connection_is_answered_or_refused_but_never_broken(
    flights: Artefact, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    request = request_for(samples[0])

    answered: list[int] = []

    async def hammer(port: int) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.write(request)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            answered.append(200)
            writer.close()

    with service(tmp_path, flights.path) as found:
        until(lambda: found.ready() == 200, "ready")

        async def hammer_and_leave() -> None:
            clients = asyncio.gather(*(hammer(found.port) for _ in range(4)))
            await answers(answered, 100)
            found.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(clients, 60)

        asyncio.run(hammer_and_leave())
        assert found.process.wait(60) == 0
        assert len(found.events()) == len(answered)


def test_a_second_ctrl_c_does_not_wait(
    flights: Artefact, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    device = {"TIDEGATE_DEVICE__SIMULATED": "true", "TIDEGATE_DEVICE__LIGHT_SECONDS": "20"}
    with service(tmp_path, flights.path, **device) as found:
        until(lambda: found.ready() == 200, "ready")
        with socket.create_connection(("127.0.0.1", found.port)) as client:
            client.sendall(request_for(samples[0]))
            found.process.send_signal(signal.SIGINT)
            until(lambda: found.ready() == 503, "draining")
            start = time.monotonic()
            found.stop(signal.SIGINT)
            assert time.monotonic() - start < 19  # the device would take 20
