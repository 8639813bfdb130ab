"""How many connections a server of ours holds open, and how long each may wait for its client."""

from __future__ import annotations

import asyncio
import re
import resource
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

LIMIT: Final = 256
# The rest of the process' descriptors is for its files and its own connections.
SHARE_OF_DESCRIPTORS: Final = 4
WAIT_SECONDS: Final = 15.0
"""For the headers of a connection's first request, and for a client that does not read to read on."""
KEEP_ALIVE_SECONDS: Final = 75.0
"""From a response until the headers of the next request are complete."""
_HEAD_END: Final = re.compile(rb"\n\r?\n")


def connection_limit(most: int) -> int:
    """The most connections that a server holds open, for a process that may open few files."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(most, max(1, descriptors // SHARE_OF_DESCRIPTORS))


class Connections:
    """The open connections of one server.

    Whoever connects is let in: beyond the limit, the connection that has waited longest for its client is
    closed, and if none waits, the oldest, such as the stream of a live page, which connects again.

    Args:
        limit: the most connections, at most a quarter of the descriptors that the process may open.
        wait_seconds: see `WAIT_SECONDS`.
    """

    def __init__(self, limit: int = LIMIT, wait_seconds: float = WAIT_SECONDS) -> None:
        self.wait_seconds = wait_seconds
        self._limit = connection_limit(limit)
        # How each is closed. Threads accept in one and close in others; single calls are atomic.
        self._waiting: OrderedDict[object, Callable[[], object]] = OrderedDict()
        self._working: OrderedDict[object, Callable[[], object]] = OrderedDict()

    def bound(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        """The protocol of an HTTP server's new connection, which counts and is bounded from now on."""
        return _Bounded(self, protocol)

    def opened(self, key: object, close: Callable[[], object]) -> None:
        """Count a new connection, which waits; `close` ends it at once."""
        if len(self._waiting) + len(self._working) >= self._limit:
            with suppress(KeyError):  # another thread has closed the last one meanwhile
                (self._waiting or self._working).popitem(last=False)[1]()
        self._waiting[key] = close

    def works(self, key: object) -> None:
        """The connection has a request to answer."""
        if close := self._waiting.pop(key, None):
            self._working[key] = close

    def waits(self, key: object) -> None:
        """The connection waits for its client."""
        if close := self._working.pop(key, None):
            self._waiting[key] = close

    def closed(self, key: object) -> None:
        """The connection is closed."""
        self._waiting.pop(key, None)
        self._working.pop(key, None)


class _Bounded(asyncio.Protocol):
    """Passes on what happens to a connection, and aborts it when its client takes too long."""

    def __init__(self, connections: Connections, inner: asyncio.Protocol) -> None:
        self._connections, self._inner = connections, inner
        self._received: bytes | None = b""  # the last of the headers; None when they are complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._abort = cast("asyncio.Transport", transport).abort
        self._connections.opened(self, self._abort)
        self._start_timer()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)
        if self._received is not None:
            received = self._received + data
            self._received = received[-2:]
            if _HEAD_END.search(received):
                self._received = None
                self._works()

    def pause_writing(self) -> None:
        self._connections.waits(self)
        self._start_timer()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._works()
        self._inner.resume_writing()

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._connections.closed(self)
        self._inner.connection_lost(exc)

    def _works(self) -> None:
        self._timer.cancel()
        self._connections.works(self)

    def _start_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._connections.wait_seconds, self._abort)
