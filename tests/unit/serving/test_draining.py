"""Connections while a replica drains: each is closed with its response, and no new one begins."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tidegate.serving.draining import CloseWhileDraining
from tidegate.serving.graceful_close import drop_new_connections
from tidegate.serving.lifecycle import Lifecycle
from tidegate.telemetry.asgi import Message, Receive, Scope, Send

ANSWER: list[Message] = [
    {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]},
    {"type": "http.response.body", "body": b"hello"},
]
CLOSING: list[Message] = [
    {**ANSWER[0], "headers": [(b"a", b"b"), (b"connection", b"close")]},
    ANSWER[1],
]


@pytest.mark.parametrize(
    ("scope", "draining", "sent"),
    [
        ("http", False, ANSWER),
        ("http", True, CLOSING),
        ("websocket", True, ANSWER),
    ],
)
async def test_a_response_closes_its_connection_only_while_the_replica_drains(
    scope: str, *, draining: bool, sent: list[Message]
) -> None:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        for message in ANSWER:
            await send(message)

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Message) -> None:
        found.append(message)

    found: list[Message] = []
    lifecycle = Lifecycle()
    if draining:
        lifecycle.drain()
    await CloseWhileDraining(answer, lifecycle)({"type": scope}, receive, send)
    assert found == sent


def test_a_listener_that_drops_new_connections_keeps_those_that_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as waiting:
            drop_new_connections(listener)
            with pytest.raises(TimeoutError):
                socket.create_connection(address, timeout=0.2)
            waiting.sendall(b"a request")
            listener.settimeout(10)
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(100) == b"a request"
