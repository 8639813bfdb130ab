"""Live pages: what a page shows is read once per interval, and all open tabs get it as server-sent events."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tidegate.runtime.keep_running import OnFault

# The browser connects again after this time.
RETRY_MILLISECONDS: Final = 1000
# Longer than anything is held.
HELD_SECONDS: Final = 60.0
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
FAULT: Final = "this page shows what it knew last, since reading it anew failed"
T = TypeVar("T")
Read = Callable[[], Awaitable[Mapping[str, Any]]]
"""Returns what a page shows now, as a JSON object."""


class Live:
    """What was read lately, and the streams of the tabs, which `close` ends when the process stops."""

    def __init__(self, on_fault: OnFault) -> None:
        """Store what reports an exception of a read for a stream."""
        self._on_fault = on_fault
        self._reads: dict[Hashable, tuple[float, asyncio.Future[Any]]] = {}
        self._faults: dict[str, str] = {}
        self._closed = asyncio.Event()

    def close(self) -> None:
        """End the stream of every tab."""
        self._closed.set()

    async def get(self, key: Hashable, seconds: float, read: Callable[[], Awaitable[T]]) -> T:
        """What was read for a key at most so many seconds ago, or is read now, for all who ask meanwhile.

        An exception of `read` is not held. What nobody asks for any more is forgotten.
        """
        now = time.monotonic()
        began, reading = self._reads.get(key, (-math.inf, None))
        if reading is None or (
            reading.done()
            and (now - began >= seconds or reading.cancelled() or reading.exception())
        ):
            reading = asyncio.ensure_future(read())
            kept = {key: one for key, one in self._reads.items() if now - one[0] < HELD_SECONDS}
            self._reads = {**kept, key: (now, reading)}
        found: T = await asyncio.shield(reading)
        return found

    def response(self, request: Request, name: str, read: Read, seconds: float) -> Response:
        """The stream of a tab; without a body for HEAD, which would otherwise read until the client leaves.

        Args:
            request: of the tab.
            name: of what is read: tabs with the same one share each read.
            read: what to send; an exception of it ends nothing.
            seconds: the interval between two reads.
        """
        kind = "text/event-stream"
        if request.method == "HEAD":
            return Response(headers=HEADERS, media_type=kind)
        return StreamingResponse(self.frames(name, read, seconds), media_type=kind, headers=HEADERS)

    async def frames(self, name: str, read: Read, seconds: float) -> AsyncIterator[bytes]:
        """Each new result as a server-sent event; a slow tab skips those in between."""
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        key, sent = ("frame", name), b""
        while not self._closed.is_set():
            frame = await self.get(key, seconds, partial(self._frame, name, read, seconds))
            if frame is not sent:
                yield (sent := frame)
            with suppress(TimeoutError):
                began, _ = self._reads.get(key, (0.0, None))
                await asyncio.wait_for(self._closed.wait(), began + seconds - time.monotonic())

    async def _frame(self, name: str, read: Read, seconds: float) -> bytes:
        try:
            update = await read()
            self._faults.pop(name, None)
        except Exception as error:  # noqa: BLE001 - whatever it is, every tab says it
            text = repr(error)
            if self._faults.get(name) != text:  # once, and not each time
                self._faults[name] = text
                self._on_fault(name, error, seconds)
            update = {"problems": [{"source": "Console", "text": f"{FAULT}: {text}"}]}
        return b"data: " + orjson.dumps(update, default=str) + b"\n\n"
