"""Live pages: what a page shows is read once per interval, and all open tabs get it as server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson

from tidegate.runtime.keep_running import OnFault

# Longer than anything is held, and more than the open pages of a person need.
HELD_SECONDS: Final = 60.0
MAX_HELD: Final = 24
FAULT: Final = "this page shows what it knew last, since reading it anew failed"
T = TypeVar("T")
Read = Callable[[], Awaitable[T]]


@dataclass(slots=True, eq=False)
class _Reading:
    """What is read, or was: when that began on a monotonic clock, and what the streams send of it.

    The fault of one that failed passes to the next, so that it is reported once.
    """

    began: float
    value: asyncio.Future[Any]
    fault: str
    frame: asyncio.Future[bytes] | None = None

    def serves(self, after: float) -> bool:
        """Whether it lasts, or began after this time and did not fail."""
        if not self.value.done():
            return True
        return self.began > after and not (self.value.cancelled() or self.value.exception())


class Live:
    """What was read lately, and the streams of the tabs, which `close` ends when the process stops."""

    def __init__(self, on_fault: OnFault) -> None:
        """Store what reports an exception of a read for a stream."""
        self._on_fault = on_fault
        self._readings: dict[Hashable, _Reading] = {}
        self._closed = asyncio.Event()

    def close(self) -> None:
        """End the stream of every tab."""
        self._closed.set()

    def forget(self, begin: str) -> None:
        """Let what has a name with this beginning be read anew: a person has changed it."""
        held = self._readings.items()
        self._readings = {key: one for key, one in held if not str(key).startswith(begin)}

    async def get(self, key: Hashable, seconds: float, read: Read[T]) -> T:
        """What was read for a key at most so many seconds ago, or is read now, for all who ask meanwhile.

        An exception of `read` is not held. What nobody asks for any more is forgotten.
        """
        found: T = await asyncio.shield(self._reading(key, seconds, read).value)
        return found

    def _reading(self, key: Hashable, seconds: float, read: Read[Any]) -> _Reading:
        now, held = time.monotonic(), self._readings
        found = held.get(key)
        if found is None or not found.serves(now - seconds):
            found = _Reading(now, asyncio.ensure_future(read()), found.fault if found else "")
            held.pop(key, None)
            kept = [each for each in held.items() if now - each[1].began < HELD_SECONDS]
            self._readings = dict([*kept[-MAX_HELD:], (key, found)])
        return found

    async def frames(
        self, name: str, read: Read[T], seconds: float, update: Callable[[T], Mapping[str, Any]]
    ) -> AsyncIterator[bytes]:
        """The stream of a tab: each new result as a server-sent event; a slow tab skips those in between.

        Tabs and pages that `get` it under the same name share each read, in this interval; an exception of it
        ends nothing. What `update` makes of it is sent, as a JSON object.
        """
        yield b"retry: 1000\n\n"  # milliseconds, after which the browser connects again
        sent = b""
        while not self._closed.is_set():
            reading = self._reading(name, seconds, read)
            try:
                value = await asyncio.shield(reading.value)
                # A large page takes a while to render: not on the event loop.
                reading.frame = reading.frame or asyncio.ensure_future(
                    asyncio.to_thread(_frame, update, value)
                )
                frame = await asyncio.shield(reading.frame)
                reading.fault = ""
            except Exception as error:  # noqa: BLE001 - whatever it is, every tab says it
                if reading.fault != (text := repr(error)):
                    reading.fault = text
                    self._on_fault(name, error, seconds)
                frame = _frame(dict, {"problems": {"Console": f"{FAULT}: {text}"}})
            if frame is not sent:
                yield (sent := frame)
            with suppress(TimeoutError):
                left = reading.began + seconds - time.monotonic()
                # A read that takes longer than its interval must not be all that a thread does.
                await asyncio.wait_for(self._closed.wait(), max(seconds / 2, left))


def _frame(update: Callable[[T], Mapping[str, Any]], value: T) -> bytes:
    return b"data: " + orjson.dumps(update(value), default=str) + b"\n\n"
