"""A stand-in for Logstash's http input, which cannot be had on every machine.

It behaves as a real one was measured to (docs/explanation/event-pipeline.md): 200 when it has the events,
429 while its queue is full, 401 with another password, 413 over its limit, 500 for an empty body, 200 and a
partial decode for a truncated gzip body. Behind it is a store with `create` and the event's own id.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.ports import free_port

USERNAME, PASSWORD = "collector", "a secret"


@dataclass
class LogstashDouble:
    """What it does, and what it has.

    Attributes:
        status: what it answers to everything, taking nothing; 0 means that it takes what it gets.
        silent: it takes events and never says so.
        limit: the largest body, uncompressed.
        stored: the events by id.
        seen: how often each id was sent.
    """

    port: int
    status: int = 0
    silent: bool = False
    limit: int = 10_485_760
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)
    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _freed: threading.Event = field(default_factory=threading.Event)
    _connections: set[socket.socket] = field(default_factory=set)
    _away: bool = False
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with double._lock:
                    double._connections.add(self.connection)
                    if double._away:  # accepted at the last moment
                        self.connection.shutdown(socket.SHUT_RDWR)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = double.take(body, self.headers.get("Authorization", ""))
                if status == 0:
                    double._freed.wait(60)
                    self.close_connection = True
                    return
                self.send_response(status)
                text = b"ok" if status == 200 else b"busy"
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_request(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client was killed while it sent."""

        self._freed.clear()
        self._away = False
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """Nobody listens any more."""
        if self._server is not None and self._thread is not None:
            self._freed.set()
            self._server.shutdown()
            self._thread.join()
            with self._lock:
                self._away = True
                for connection in self._connections:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
                self._connections.clear()
            self._server.server_close()
            self._server = None

    def speak(self) -> None:
        """Answer again; those who were kept waiting lose their connection."""
        self.silent = False
        self._freed.set()

    def take(self, body: bytes, authorization: str) -> int:
        with self._lock:
            self.requests += 1
            allowed = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
            if authorization != f"Basic {allowed}":
                return 401
            if self.status:
                return self.status
            # As Netty does it: what can be decompressed counts.
            data = zlib.decompressobj(wbits=31).decompress(body)
            if not body:
                return 500
            if len(data) > self.limit:
                return 413
            self.sizes.append(len(data))
            for line in data.splitlines():
                event = json.loads(line)
                self.seen[event["event"]["id"]] += 1
                self.stored.setdefault(event["event"]["id"], event)
            return 0 if self.silent else 200


@contextmanager
def logstash_double(port: int = 0) -> Iterator[LogstashDouble]:
    """One that listens, on this port or a free one, which stays its own while it is away."""
    double = LogstashDouble(port or free_port())
    double.start()
    try:
        yield double
    finally:
        double.stop()
