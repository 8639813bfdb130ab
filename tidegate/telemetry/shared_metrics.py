"""`GET /metrics` of an application that has one of its own: its answer, and Tidegate's metrics after it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Final

from tidegate.telemetry.asgi import ASGIApp, Message, Receive, Scope, Send

OWN: Final = "tidegate.own_metrics"
"""The key of a scope that asks for the application's own metrics alone."""
_FORMATS: Final = ("text/plain", "application/openmetrics-text")
_SCRAPERS: Final = ("openmetrics-text", "version=0.0.4")
_EXPOSITION: Final = re.compile(rb"\s*(#|[A-Za-z_:][\w:]*[ {]|$)")
_FAMILY: Final = re.compile(rb"# (?:HELP|TYPE|UNIT) (\S+)")
_END: Final = b"# EOF\n"
_DROPPED: Final = frozenset({b"accept-encoding", b"if-none-match", b"if-modified-since"})


class SharedMetrics:
    """Asks the application for its metrics, and appends ours in the same format.

    An answer that is no exposition of metrics (JSON, a page) goes to everybody but scrapers, which get ours.

    Args:
        encode: our metrics and their content type, for an `Accept` header.
        ours: answers with our metrics alone.
        theirs: the application; `OWN` in the scope says that its own answer is wanted.
    """

    def __init__(
        self, encode: Callable[[str], tuple[bytes, str]], ours: ASGIApp, theirs: ASGIApp
    ) -> None:
        self._encode, self._ours, self._theirs = encode, ours, theirs
        self._said = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a scrape."""
        headers = [(name, value) for name, value in scope["headers"] if name not in _DROPPED]
        own: Scope = {**scope, "headers": headers, OWN: True}
        start, body = await _answer_of(self._theirs, own, receive)
        if start["status"] in (307, 308):  # `app.mount("/metrics", …)` answers below a slash
            own["path"] += "/"
            start, body = await _answer_of(self._theirs, own, receive)
        types = {name.lower(): value for name, value in start["headers"]}
        kind = types.get(b"content-type", b"").decode("latin-1")
        accept = dict(headers).get(b"accept", b"").decode("latin-1")
        if start["status"] == 200 and kind.startswith(_FORMATS) and _EXPOSITION.match(body):
            if not self._said:
                self._said = True
                logging.getLogger("tidegate.telemetry").warning(
                    "the application has a GET /metrics of its own: its metrics come first, "
                    "and Tidegate's follow"
                )
            ours, kind = self._encode(kind)
            body = merged(body, ours)
            start["headers"] = [
                (b"content-type", kind.encode()),
                (b"content-length", str(len(body)).encode()),
            ]
        elif start["status"] in (404, 405) or any(name in accept for name in _SCRAPERS):
            await self._ours(scope, receive, send)
            return
        await send(start)
        await send({"type": "http.response.body", "body": body})


def merged(theirs: bytes, ours: bytes) -> bytes:
    """One exposition of both; of a metric that both have, theirs."""
    known = set(_FAMILY.findall(theirs))
    kept: list[bytes] = []
    is_new = True
    for line in ours.splitlines(keepends=True):
        if found := _FAMILY.match(line):
            is_new = found[1] not in known
        if is_new or line == _END:
            kept.append(line)
    first = theirs.removesuffix(_END)
    if first and not first.endswith(b"\n"):
        first += b"\n"
    return first + b"".join(kept)


async def _answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    start: Message = {"type": "http.response.start", "status": 404, "headers": []}
    parts: list[bytes] = []

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, keep)
    return start, b"".join(parts)
