"""uvicorn's HTTP protocol, with an error in JSON like all others of a replica."""

from __future__ import annotations

from typing import Final

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidegate.serving.json_response import error_body

MALFORMED: Final = orjson.dumps(
    error_body("request", "this is not a valid HTTP request", "malformed_request")
)


class HttpProtocol(HttpToolsProtocol):
    """Answers what is not HTTP with a 400 in JSON; uvicorn itself does so in plain text."""

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
