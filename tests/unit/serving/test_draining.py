"""Connections while a replica drains: each is closed with its response, and no new one begins."""

from __future__ import annotations

import socket

import pytest

from tidegate.serving.draining import closing_while_draining
from tidegate.serving.graceful_close import drop_new_connections
from tidegate.serving.lifecycle import Lifecycle
from tidegate.telemetry.asgi import Message

ANSWER: list[Message] = [
    {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]},
    {"type": "http.response.body", "body": b"hello"},
]
CLOSING: list[Message] = [
    {**ANSWER[0], "headers": [(b"a", b"b"), (b"connection", b"close")]},
    ANSWER[1],
]


@pytest.mark.parametrize(("draining", "sent"), [(False, ANSWER), (True, CLOSING)])
async def test_a_response_closes_its_connection_only_while_the_replica_drains(
    *, draining: bool, sent: list[Message]
) -> None:
    async def send(message: Message) -> None:
        found.append(message)

    found: list[Message] = []
    lifecycle = Lifecycle()
    closing = closing_while_draining(send, lifecycle)
    if draining:
        lifecycle.drain()
    for message in ANSWER:
        await closing(message)
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
