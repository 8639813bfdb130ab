"""`GET /metrics` of an application that has one of its own: its answer, and Tidegate's metrics after it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Final

from tidegate.telemetry.asgi import ASGIApp, Message, Receive, Scope, Send
from tidegate.telemetry.request_event import error_text, error_type

OWN: Final = "tidegate.own_metrics"
"""The key of a scope that asks for the application's own metrics alone."""
_LOG: Final = logging.getLogger("tidegate.telemetry")
_FORMATS: Final = ("text/plain", "application/openmetrics-text")
_SCRAPERS: Final = ("openmetrics-text", "version=0.0.4")
_EXPOSITION: Final = re.compile(rb"\s*(#|[A-Za-z_:][\w:]*[ {]|$)")
_FAMILY: Final = re.compile(rb"# (?:HELP|TYPE|UNIT) (\S+)")
_NAME: Final = re.compile(rb"\s*(?:#\s+(?:HELP|TYPE|UNIT)\s+)?([A-Za-z_:][\w:]*)")
"""The name in a line of an exposition: of the metric, or of a sample."""
_SUFFIXES: Final = (b"_bucket", b"_count", b"_sum", b"_total", b"_created", b"")
ANSWER_SECONDS: Final = 1.0
"""How long the application may take. Prometheus gives a scrape up after its interval, of a few seconds."""
ANSWER_BYTES: Final = 16 * 2**20
_END: Final = b"# EOF\n"
_DROPPED: Final = frozenset({b"accept-encoding", b"if-none-match", b"if-modified-since"})


class SharedMetrics:
    """Asks the application for its metrics, and appends ours in the same format.

    An answer that is no exposition of metrics (JSON, a page) goes to everybody but scrapers, which get ours.
    If there is no answer (an exception, too late, too long), everybody gets ours.

    Args:
        encode: our metrics and their content type, for an `Accept` header.
        ours: answers with our metrics alone.
        theirs: the application; `OWN` in the scope says that its own answer is wanted.
    """

    def __init__(
        self, encode: Callable[[str], tuple[bytes, str]], ours: ASGIApp, theirs: ASGIApp
    ) -> None:
        self._encode, self._ours, self._theirs = encode, ours, theirs
        self._said = self._failed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a scrape."""
        headers = [(name, value) for name, value in scope["headers"] if name not in _DROPPED]
        own: Scope = {**scope, "headers": headers, OWN: True}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                start, body = await _answer_of(self._theirs, own, receive)
                # `app.mount("/metrics", …)` answers below a slash
                if start["status"] in (307, 308):
                    own["path"] += "/"
                    start, body = await _answer_of(self._theirs, own, receive)
        except Exception as error:  # noqa: BLE001 - the application's own code may raise anything
            if not self._failed:
                self._failed = True
                _LOG.warning(
                    "the application's own GET /metrics failed (%s), so Tidegate's metrics are served alone",
                    f"{error_type(error)}: {error_text(error)}".removesuffix(": "),
                )
            await self._ours(scope, receive, send)
            return
        self._failed = False
        types = {name.lower(): value for name, value in start["headers"]}
        kind = types.get(b"content-type", b"").decode("latin-1")
        accept = dict(headers).get(b"accept", b"").decode("latin-1")
        if start["status"] == 200 and kind.startswith(_FORMATS) and _EXPOSITION.match(body):
            ours, kind = self._encode(kind)
            body, left_out = merged(body, ours)
            if not self._said:
                self._said = True
                _LOG.warning(
                    "the application has a GET /metrics of its own: its metrics come first, and Tidegate's "
                    "follow; left out of the application's, because Tidegate has them too: %s",
                    ", ".join(left_out) or "none",
                )
            start["headers"] = [
                (b"content-type", kind.encode()),
                (b"content-length", str(len(body)).encode()),
            ]
        elif start["status"] in (404, 405) or any(name in accept for name in _SCRAPERS):
            await self._ours(scope, receive, send)
            return
        await send(start)
        await send({"type": "http.response.body", "body": body})


def merged(theirs: bytes, ours: bytes) -> tuple[bytes, list[str]]:
    """One exposition of both, and the metrics of theirs that it leaves out.

    Of a metric that both have, ours: its labels and its buckets are those that the rules query.
    """
    families = set(_FAMILY.findall(ours))
    left_out: set[str] = set()
    kept: list[bytes] = []
    for line in filter(None, theirs.removesuffix(_END).split(b"\n")):
        name = _NAME.match(line)
        family = _family_of(name[1], families) if name else None
        if family is None:
            kept.append(line)
        else:
            left_out.add(family.decode())
    return b"\n".join([*kept, ours]), sorted(left_out)


def _family_of(name: bytes, families: set[bytes]) -> bytes | None:
    """The one of these families that a name belongs to; a family also has the names of its samples."""
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and (family := name.removesuffix(suffix)) in families:
            return family
    return None


async def _answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    start: Message = {"type": "http.response.start", "status": 404, "headers": []}
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))
            if len(body) > ANSWER_BYTES:
                raise ValueError(f"its answer has more than {ANSWER_BYTES} bytes")

    await app(scope, receive, keep)
    return start, bytes(body)
