"""`serve(replica)`: runs a replica in a server until it is stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from tidegate.serving.replica import Replica

GRACE_SECONDS: Final = 1.2
"""From SIGTERM until the listener closes. The gateway checks `/ready` every 0.5 s, so at least two
checks fail before."""


BACKLOG: Final = 2048
"""Connections that the kernel queues for the server."""


class PortInUseError(Exception):
    """The port is in use or cannot be opened."""


class ReplicaFailedError(Exception):
    """The application cannot be served; the text is the reason."""


def serve(
    replica: Replica,
    *,
    host: str = "127.0.0.1",
    port: int,
    grace_seconds: float = GRACE_SECONDS,
    websockets: bool = True,
    on_started: Callable[[], None] | None = None,
) -> None:
    """Serve a replica by uvicorn until a signal arrives and every request has its response.

    Args:
        replica: what to serve.
        host: the address to listen on.
        port: the port to listen on.
        grace_seconds: how long it accepts connections after the signal.
        websockets: whether it accepts them.
        on_started: called once it accepts requests.

    Raises:
        PortInUseError: the address is in use or cannot be opened.
        ReplicaFailedError: the application failed to start or to load.
    """
    # Other servers can run a replica, too: only this function needs uvicorn.
    from tidegate.serving.server import Server  # noqa: PLC0415

    with listen(host, port) as listener:
        server = Server(
            replica,
            listener,
            grace_seconds=grace_seconds,
            websockets=websockets,
            on_started=on_started,
        )
        server.run(sockets=[listener])
    if replica.lifecycle.phase == "failed":
        raise ReplicaFailedError(replica.lifecycle.reason)


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address.

    Raises:
        PortInUseError: the address is in use or cannot be opened.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PortInUseError(f"{host} port {port}: {error.strerror or error}") from error
