"""Live pages: one read per interval, whose result all open tabs get as server-sent events."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from typing import Any, Final, TypeVar

import orjson
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tidegate.runtime.keep_running import OnFault, keep_running

# The browser connects again after this time.
RETRY_MILLISECONDS: Final = 1000
# From the request of a stream to its begin.
BEGIN_SECONDS: Final = 10.0
# Longer than anything is held.
HELD_SECONDS: Final = 60.0
FAULT: Final = "this page shows what it knew last, since reading it anew failed"
T = TypeVar("T")
Read = Callable[[], Awaitable[Mapping[str, Any]]]
"""Returns what a page shows now, as a JSON object."""


class Poll:
    """Reads at an interval while at least one tab listens."""

    def __init__(self, name: str, read: Read, seconds: float, on_fault: OnFault) -> None:
        """Prepare it; the first listener starts it.

        Args:
            name: for `on_fault`.
            read: what to send; an exception of it ends nothing.
            seconds: the interval between two reads.
            on_fault: reports an exception of `read`.
        """
        self._name = name
        self._read = read
        self._seconds = seconds
        self._on_fault = on_fault
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None
        self._frame = b""
        self._next = asyncio.Event()
        self._closed = False
        self.asked_at = time.monotonic()

    def close(self) -> None:
        """End the stream of every listener."""
        self._closed = True
        self._next.set()

    @property
    def left(self) -> bool:
        """Whether no tab listens, or is about to: a stream begins some time after it was asked for."""
        return not self._listeners and time.monotonic() - self.asked_at > BEGIN_SECONDS

    def response(self) -> StreamingResponse:
        """The stream of a tab."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return _Stream(self.frames(), media_type="text/event-stream", headers=headers)

    async def frames(self) -> AsyncIterator[bytes]:
        """Each new result as a server-sent event; a slow tab skips those in between."""
        self._listeners += 1
        if self._task is None:
            self._task = asyncio.create_task(
                keep_running(self._name, self._run, self._on_fault), name=self._name
            )
        sent = b""
        try:
            yield b"retry: %d\n\n" % RETRY_MILLISECONDS
            while not self._closed:
                following = self._next
                if self._frame is not sent and self._frame:
                    sent = self._frame
                    yield sent
                else:
                    await following.wait()
        finally:
            self._listeners -= 1
            if not self._listeners and self._task:
                self._task.cancel()
                # What it read is old when the next tab comes.
                self._task, self._frame = None, b""

    async def _run(self) -> None:
        while True:
            try:
                self._send(await self._read())
            except Exception as error:
                self._send({"problems": [{"source": "Console", "text": f"{FAULT}: {error!r}"}]})
                raise
            await asyncio.sleep(self._seconds)

    def _send(self, result: Mapping[str, Any]) -> None:
        self._frame = b"data: " + orjson.dumps(result, default=str) + b"\n\n"
        self._next.set()
        self._next = asyncio.Event()


class _Stream(StreamingResponse):
    """A stream that has no body for HEAD, which would otherwise read until the client leaves."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            head = Response(headers=dict(self.headers))
            await head(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


class Held:
    """What is read anew only after some seconds, by a key, and forgotten when nobody asks for it any more."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._values: dict[Hashable, tuple[float, Any]] = {}

    async def get(self, key: Hashable, seconds: float, read: Callable[[], Awaitable[T]]) -> T:
        """The value of a key that is younger than this; an exception of `read` is not held."""
        now = time.monotonic()
        read_at, value = self._values.get(key, (-math.inf, None))
        if now - read_at >= seconds:
            value = await read()
            kept = {key: one for key, one in self._values.items() if now - one[0] < HELD_SECONDS}
            self._values = {**kept, key: (now, value)}
        found: T = value
        return found


class Polls:
    """The polls of all pages, by name; `close` ends them all when the process stops."""

    def __init__(self, on_fault: OnFault) -> None:
        """Store what reports an exception of a read."""
        self.on_fault = on_fault
        self._polls: dict[str, Poll] = {}

    def poll(self, name: str, read: Read, seconds: float) -> Poll:
        """The poll of this name; the first call decides what it reads."""
        if name not in self._polls:
            # A search has one for each query: those that no tab follows any more would fill the memory.
            self._polls = {key: one for key, one in self._polls.items() if not one.left}
            self._polls[name] = Poll(name, read, seconds, self.on_fault)
        self._polls[name].asked_at = time.monotonic()
        return self._polls[name]

    def close(self) -> None:
        """End the stream of every tab."""
        for poll in self._polls.values():
            poll.close()
