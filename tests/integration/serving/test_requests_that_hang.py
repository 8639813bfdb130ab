"""Requests that never end, of an application of somebody else: their slots come back, and are not lost."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from support.eventually import eventually
from support.harnesses.event_files import events_in
from support.processes.service_process import Service, served

pytestmark = pytest.mark.integration

HANGING = """
import asyncio
import atexit
import threading
import time
from pathlib import Path
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
atexit.register(Path("ended").touch)

@app.post("/reports/{number}")
async def report(number: int):
    await asyncio.Event().wait()

@app.post("/locked")
def locked():
    threading.Event().wait()

@app.post("/stubborn")
async def stubborn():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

async def ticks():
    while True:
        yield b"tick"
        await asyncio.sleep(0.1)

@app.post("/ticks")
async def stream():
    return StreamingResponse(ticks())

@app.post("/fast")
async def fast():
    return "done"
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def give_up(replica: Service, path: str) -> None:
    """Send a request whose client leaves, as the gateway does after `gateway.response_seconds`."""
    trace = f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"
    head = f"POST {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n{trace}\r\n\r\n"
    busy = replica.metric("tidegate_slots_busy")
    with socket.create_connection(("127.0.0.1", replica.port), 60) as connection:
        connection.sendall(head.encode() + b"{}")
        eventually(lambda: replica.metric("tidegate_slots_busy") > busy, "it holds a slot")


def test_a_slot_comes_back_and_the_event_says_where_its_request_hung(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(HANGING)
    with served(tmp_path, "shop:app", TIDEGATE_GATEWAY__RESPONSE_SECONDS="1") as replica:
        eventually(lambda: replica.ready() == 200, "it is ready")
        give_up(replica, "/reports/3")
        eventually(lambda: replica.metric("tidegate_slots_busy") == 0, "its slot is free")
        assert httpx.post(f"{replica.url}/fast", timeout=60).status_code == 200
        assert replica.metric("tidegate_slot_seconds_count") == 1
        assert replica.stop() == 0
    assert (tmp_path / "ended").exists()
    hung, _ = events_in(replica.folder / "logs", "request")
    assert hung["tidegate"]["route"] == "/reports/{number}"
    assert hung["trace"]["id"] == TRACE
    assert hung["error"]["type"].endswith("CancelledError")
    assert "gateway.response_seconds is 1" in hung["error"]["message"]
    assert "in report\n    await asyncio.Event().wait()" in hung["error"]["stack_trace"]
    assert {one["log"]["level"] for one in events_in(replica.folder / "logs", "app")} == {"info"}


@pytest.mark.parametrize(
    ("path", "times", "reason"),
    [
        ("/locked", 2, "2 requests held their slots and were cancelled"),
        ("/stubborn", 1, f"not ended within 5 s: POST /stubborn, trace {TRACE}"),
    ],
)
def test_a_replica_whose_requests_cannot_be_ended_is_replaced(
    path: str, times: int, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(HANGING)
    with served(
        *(tmp_path, "shop:app"),
        TIDEGATE_GATEWAY__RESPONSE_SECONDS="1",
        TIDEGATE_SLOTS__PER_REPLICA="2",
        TIDEGATE_REPLICAS__DRAIN_SECONDS="5",
    ) as replica:
        eventually(lambda: replica.ready() == 200, "it is ready")
        for _ in range(times):
            give_up(replica, path)
        assert replica.process.wait(60) == 1
    (log,) = [
        one
        for one in events_in(replica.folder / "logs", "app")
        if one["log"]["logger"] == "tidegate.serving.server" and one["log"]["level"] == "error"
    ]
    assert log["tidegate"]["reason"].endswith(reason)


def test_a_long_stream_that_ends_with_its_client_is_none_that_hangs(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(HANGING)
    with served(
        *(tmp_path, "shop:app"),
        TIDEGATE_GATEWAY__RESPONSE_SECONDS="1",
        TIDEGATE_SLOTS__PER_REPLICA="2",
    ) as replica:
        eventually(lambda: replica.ready() == 200, "it is ready")
        for _ in range(3):
            with httpx.stream("POST", f"{replica.url}/ticks", timeout=60) as answer:
                content = answer.iter_raw()
                # More than a second of them.
                assert len(b"".join(next(content) for _ in range(15))) >= 60
            eventually(lambda: replica.metric("tidegate_slots_busy") == 0, "its slot is free")
        assert httpx.post(f"{replica.url}/fast", timeout=60).status_code == 200
        assert replica.stop() == 0
    events = events_in(replica.folder / "logs")
    assert [one["message"] for one in events if one["log"]["level"] == "error"] == []
