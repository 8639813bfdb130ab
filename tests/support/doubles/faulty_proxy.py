"""A proxy in front of a real HTTP server, such as Elasticsearch, that fails as it is told."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from weakref import WeakSet

import aiohttp
from aiohttp import web

from support.doubles.aiohttp_server import serving

Way: TypeAlias = Literal[
    "", "429", "503", "item 429", "slow", "reset before", "lost acknowledgement"
]
"""How it fails: it answers so and passes nothing on; it refuses each item of a bulk request; it waits; it
breaks the connection before the request has an effect, or after it, in the place of the answer."""
SLOW_SECONDS: Final = 2.0
# Of one connection, not of the message.
OWN_HEADERS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_SESSION: Final = web.AppKey("session", aiohttp.ClientSession)


@dataclass
class FaultyProxy:
    """A proxy on a port of 127.0.0.1.

    Attributes:
        target: the URL of the server.
        port: its own.
        way: how it fails now; empty passes everything on.
        failed: how many requests it failed in each way.
    """

    target: str
    port: int
    way: Way = ""
    failed: Counter[str] = field(default_factory=Counter)
    _running: ExitStack = field(default_factory=ExitStack)
    _clients: WeakSet[asyncio.Transport] = field(default_factory=WeakSet)

    def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, with TLS if there is a certificate."""
        app = web.Application(client_max_size=2**27)
        app.router.add_route("*", "/{path:.*}", self._answer)
        app.cleanup_ctx.append(_session)
        app.on_shutdown.append(self._leave)
        # Bodies as they were sent, and an end that does not wait for clients.
        options: dict[str, Any] = {"auto_decompress": False, "shutdown_timeout": 0.1}
        self._running.enter_context(serving(app, self.port, tls=tls, **options))

    def stop(self) -> None:
        """Nobody listens any more: connections are refused."""
        self._running.close()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            self._clients.add(request.transport)
        body, way = await request.read(), self.way
        bulk = request.path.endswith(("/_bulk", "/v1/logs"))
        if way in {"429", "503"}:
            self.failed[way] += 1
            return _refusal(int(way))
        if way == "item 429" and request.path.endswith("/_bulk"):
            self.failed[way] += 1
            return _refused_items(body, request.headers.get("Content-Encoding", ""))
        if way == "reset before":
            return self._broken(request, way)
        if way == "slow":
            self.failed[way] += 1
            await asyncio.sleep(SLOW_SECONDS)
        try:
            answer = await self._forward(request, body)
        except aiohttp.ClientError:
            return self._broken(request, "unreachable")
        if way == "lost acknowledgement" and bulk:
            return self._broken(request, way)
        return answer

    async def _leave(self, _: web.Application) -> None:
        """TLS would wait for the other side's farewell, beyond the end of the loop."""
        for client in list(self._clients):
            client.abort()

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        headers = {key: v for key, v in request.headers.items() if key.lower() not in OWN_HEADERS}
        async with request.app[_SESSION].request(
            request.method, self.target + request.path_qs, data=body, headers=headers
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in OWN_HEADERS}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    def _broken(self, request: web.Request, way: str) -> web.Response:
        self.failed[way] += 1
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)  # which nobody receives


async def _session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        app[_SESSION] = session
        yield


def _refusal(status: int) -> web.Response:
    kind = "es_rejected_execution_exception" if status == 429 else "unavailable_exception"
    error = {"type": kind, "reason": "the proxy refuses this request"}
    return web.json_response(
        {"error": error, "status": status},
        status=status,
        headers={"X-Elastic-Product": "Elasticsearch"},
    )


def _refused_items(body: bytes, encoding: str) -> web.Response:
    """As a node with a full write queue answers: 200, with a 429 for each item."""
    lines = (gzip.decompress(body) if encoding == "gzip" else body).splitlines()
    error = {"type": "es_rejected_execution_exception", "reason": "the proxy refuses this item"}
    items = [
        {action: {"_index": about.get("_index", ""), "status": 429, "error": error}}
        for line in lines[::2]
        for action, about in json.loads(line).items()
    ]
    return web.json_response(
        {"took": 1, "errors": True, "items": items},
        headers={"X-Elastic-Product": "Elasticsearch"},
    )
