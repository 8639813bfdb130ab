"""The end of a listener: no new connection begins, and those that wait are kept."""

from __future__ import annotations

import socket

import pytest

from tidegate.serving.graceful_close import drop_new_connections


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
