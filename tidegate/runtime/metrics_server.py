"""The metrics of one registry over HTTP, from threads: for any process."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from functools import partial
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from tidegate.runtime.connections import Connections

# Each has a thread; one or two Prometheis read.
LIMIT: Final = 32
# As asyncio does when no descriptor is free; until then, the selector reports the connection again and again.
ACCEPT_AGAIN_SECONDS: Final = 1.0


class MetricsHttpServer(ThreadingMixIn, WSGIServer):
    """Serves from its construction until `close`.

    Raises:
        OSError: the port is taken, or the address cannot be used.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        registry: CollectorRegistry,
        host: str,
        port: int,
        connections: Connections | None = None,
    ) -> None:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = infos[0][0]
        self._connections = connections or Connections(LIMIT)
        super().__init__((host, port), _Handler)
        self.set_app(make_wsgi_app(registry))
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and free the port."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, which then may be silent for some seconds."""
        try:
            connection, address = super().get_request()
        except OSError:
            time.sleep(ACCEPT_AGAIN_SECONDS)
            raise
        connection.settimeout(self._connections.wait_seconds)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread."""
        self._connections.opened(request, partial(_end, request))
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        """Close a connection."""
        self._connections.closed(request)
        super().close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that is silent or has left."""


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""


def _end(connection: socket.socket) -> None:
    # Its thread then reads the end, and closes it.
    with suppress(OSError):  # it ended meanwhile
        connection.shutdown(socket.SHUT_RDWR)
