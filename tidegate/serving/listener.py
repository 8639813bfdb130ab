"""The listening socket of a replica."""

from __future__ import annotations

import socket
from typing import Final

BACKLOG: Final = 2048
"""Connections that the kernel queues for the server."""


class PortInUseError(Exception):
    """The port is in use or cannot be opened."""


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
