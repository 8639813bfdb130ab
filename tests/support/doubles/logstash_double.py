"""A stand-in for Logstash's http input, which cannot be had on every machine.

It behaves as a real one was measured to (docs/explanation/event-pipeline.md): 200 when it has the events,
429 while its queue is full, 401 with another password, 413 over its limit, 500 for an empty body, 200 and a
partial decode for a truncated gzip body. Behind it is a store with `create` and the event's own id.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import encode_basic_auth, web

from support.doubles.aiohttp_server import serving
from support.eventually import eventually_async
from support.ports import free_port

USERNAME, PASSWORD = "collector", "a secret"


@dataclass
class LogstashDouble:
    """What it does, and what it has."""

    port: int
    status: int = 0  # what it answers to everything, taking nothing; with 0 it takes what it gets
    silent: bool = False  # it takes events and never says so
    limit: int = 131_072  # the largest body, uncompressed
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)  # by id
    seen: Counter[str] = field(default_factory=Counter)  # how often each id was sent
    sizes: list[int] = field(default_factory=list)
    requests: int = 0
    _running: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/{path:.*}", self._answer)
        # Bodies as they were sent, and an end that does not wait for clients.
        self._running.enter_context(
            serving(app, self.port, auto_decompress=False, shutdown_timeout=0.1)
        )

    def stop(self) -> None:
        """Nobody listens any more."""
        self._running.close()

    def speak(self) -> None:
        """Answer again; those who were kept waiting lose their connection."""
        self.silent = False

    async def _answer(self, request: web.Request) -> web.Response:
        assert request.headers["Content-Encoding"] == "gzip"
        status = self._take(await request.read(), request.headers.get("Authorization", ""))
        if status == 200 and self.silent:
            await eventually_async(lambda: not self.silent)
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=status, text="ok" if status == 200 else "busy")

    def _take(self, body: bytes, authorization: str) -> int:
        self.requests += 1
        if authorization != encode_basic_auth(USERNAME, PASSWORD):
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
        return 200


@contextmanager
def logstash_double() -> Iterator[LogstashDouble]:
    """One that listens on a free port, which stays its own while it is away."""
    double = LogstashDouble(free_port())
    double.start()
    try:
        yield double
    finally:
        double.stop()
