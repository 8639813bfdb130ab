"""How many connections a server of ours holds open, and how long each may wait for its client."""

from __future__ import annotations

import asyncio
import resource
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

LIMIT: Final = 256
# The rest of the process' descriptors is for its files and its own connections.
SHARE_OF_DESCRIPTORS: Final = 4
HEAD_SECONDS: Final = 10.0
"""From the start of a connection until the headers of its first request are complete."""
IDLE_SECONDS: Final = 75.0
"""From a response until the headers of the next request are complete, and for a client to read on."""
TICK_SECONDS: Final = 0.5


def connection_limit(most: int) -> int:
    """The most connections that a server holds open, for a process that may open few files."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(most, max(1, descriptors // SHARE_OF_DESCRIPTORS))


@dataclass(slots=True)
class _Connection:
    close: Callable[[], object]
    # While it waits for its client: until when.
    until: float | None


class Connections:
    """The open connections of one server.

    Whoever connects is let in: beyond the limit, the connection that has waited longest for its client is
    closed, and if none waits, the oldest, such as the stream of a live page, which connects again.

    Args:
        limit: the most connections, at most a quarter of the descriptors that the process may open.
        head_seconds: see `HEAD_SECONDS`.
        clock: a monotonic clock in seconds.
    """

    def __init__(
        self,
        limit: int = LIMIT,
        head_seconds: float = HEAD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = connection_limit(limit)
        self._head_seconds = head_seconds
        self._clock = clock
        # In the order in which they began to wait; one server accepts and answers in different threads.
        self._open: dict[object, _Connection] = {}
        self._lock = threading.Lock()

    def opened(self, key: object, close: Callable[[], object]) -> None:
        """Count a new connection, which waits; `close` ends it at once."""
        if len(self._open) >= self._limit:
            self.close_one()
        with self._lock:
            self._open[key] = _Connection(close, self._clock() + self._head_seconds)

    def works(self, key: object) -> None:
        """The headers of a request are complete: the connection stays until its response."""
        with self._lock:
            if connection := self._open.get(key):
                connection.until = None

    def waits(self, key: object) -> None:
        """It waits for the next request, or for its client to read on; without effect if it waits already."""
        with self._lock:
            if (connection := self._open.get(key)) and connection.until is None:
                connection.until = self._clock() + IDLE_SECONDS
                self._open[key] = self._open.pop(key)

    def closed(self, key: object) -> None:
        """The connection is closed."""
        with self._lock:
            self._open.pop(key, None)

    def close_one(self) -> None:
        """Close the connection that can be missed most; without effect if there is none."""
        with self._lock:
            waiting = (key for key, one in self._open.items() if one.until is not None)
            key = next(waiting, next(iter(self._open), None))
            connection = self._open.pop(key, None)
        if connection:
            connection.close()

    def close_overdue(self) -> None:
        """Close those that have waited too long."""
        now = self._clock()
        with self._lock:
            waiting = [(key, one) for key, one in self._open.items() if one.until is not None]
            overdue = [self._open.pop(key) for key, one in waiting if (one.until or 0.0) <= now]
        for connection in overdue:
            connection.close()

    @asynccontextmanager
    async def enforced(self) -> AsyncIterator[None]:
        """Close those that have waited too long, by the event loop, inside the block."""

        async def enforce() -> None:
            while True:
                await asyncio.sleep(TICK_SECONDS)
                self.close_overdue()

        task = asyncio.create_task(enforce())
        try:
            yield
        finally:
            task.cancel()
