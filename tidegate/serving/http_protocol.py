"""uvicorn's HTTP protocol: the head in one write with the body, and errors in JSON like all of a replica."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidegate.serving.abandoned_requests import AbandonedRequests
from tidegate.serving.json_response import error_body
from tidegate.telemetry.asgi import Scope

MALFORMED: Final = orjson.dumps(
    error_body("request", "this is not a valid HTTP request", "malformed_request")
)


class JoinedWrites:
    """A transport that sends the head of a response together with what follows in the same turn of the loop.

    uvicorn writes the head and the body, and the loop sends each at once: two system calls, two packets and
    two wake-ups of the gateway. A head that nothing follows, as of a stream, is sent at the end of the turn.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport: Final = transport
        self._loop: Final = loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send the data, with the head before it."""
        if self._head:
            lines, self._head = (self._head, data), b""
            self._transport.writelines(lines)
            return
        # A chunk of a body may be a memoryview, which has no `startswith`.
        if data[:9] == b"HTTP/1.1 ":
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Send what is held, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            data, self._head = self._head, b""
            # The client may have reset the connection meanwhile.
            if not self._transport.is_closing():
                self._transport.write(data)


class HttpProtocol(HttpToolsProtocol):
    """Answers what is not HTTP with a 400 in JSON; uvicorn itself does so in plain text.

    Args:
        abandoned: is told of each request whose client leaves.
        given: what uvicorn gives its protocols.
    """

    def __init__(self, abandoned: AbandonedRequests, **given: Any) -> None:
        super().__init__(**given)
        self._abandoned = abandoned

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve a connection."""
        super().connection_made(transport)
        self.transport = JoinedWrites(transport, self.loop)  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """The client, or the gateway, has closed the connection."""
        super().connection_lost(exc)
        # uvicorn has none before the first request.
        if self.cycle is not None and self.cycle.disconnected:
            self._abandoned.add(cast("Scope", self.cycle.scope))

    def send_400_response(self, msg: str) -> None:
        """Send the response and close the connection; `msg`, uvicorn's own text, is in its log."""
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(MALFORMED)).encode()),
            (b"connection", b"close"),
        ]
        lines = [b"HTTP/1.1 400 Bad Request", *(b": ".join(header) for header in headers)]
        self.transport.write(b"\r\n".join([*lines, b"", MALFORMED]))
        self.transport.close()
