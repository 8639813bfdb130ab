"""A request that waits for a slot, while its client may send more of it or disconnect."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from tidegate.serving.slots import Slot, Slots
from tidegate.telemetry.asgi import Message, Receive

BUFFERED_BYTES: Final = 65_536
"""Up to here the body is read while its request waits, in bytes. Beyond it a disconnect is noticed later."""


class WaitingRequest:
    """Waits for a slot and reads from the client meanwhile. The application receives what was read."""

    __slots__ = ("_buffered", "_bytes", "_reading", "_receive")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._buffered: deque[Message] = deque()
        self._bytes = 0
        self._reading: asyncio.Future[Message] | None = None

    async def acquire(self, slots: Slots) -> Slot | None:
        """Wait for a slot; None if the client disconnects before.

        Raises:
            NoSlotError: the queue is full, or the wait was too long.
        """
        acquiring = asyncio.ensure_future(slots.acquire())
        try:
            while not acquiring.done():
                awaited: list[asyncio.Future[Any]] = [acquiring, *self._read_on()]
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                if self._store() == "http.disconnect":
                    _abandon(acquiring, slots)
                    return None
        except BaseException:
            _abandon(acquiring, slots)
            raise
        return acquiring.result()

    async def receive(self) -> Message:
        """The next message of the client, for the application."""
        while not self._buffered:
            reading = self._reading
            if reading is None:
                return await self._receive()
            await asyncio.wait((reading,))  # unlike awaiting it, this may be cancelled without loss
            if self._reading is reading:  # else another task of the application has taken it
                self._store()
        return self._buffered.popleft()

    def close(self) -> None:
        """Stop reading, at the end of the request."""
        if self._reading is not None and not self._reading.cancel():
            self._reading.exception()  # it was retrieved, so it is not logged as lost

    def _read_on(self) -> tuple[asyncio.Future[Message], ...]:
        if self._reading is None:
            if self._bytes >= BUFFERED_BYTES:
                return ()
            self._reading = asyncio.ensure_future(self._receive())
        return (self._reading,)

    def _store(self) -> str:
        """Buffer the message that has arrived; returns its type, or "" if none has."""
        if self._reading is None or not self._reading.done():
            return ""
        reading, self._reading = self._reading, None
        message = reading.result()
        self._buffered.append(message)
        self._bytes += len(message.get("body", b""))
        return str(message["type"])


def _abandon(acquiring: asyncio.Future[Slot], slots: Slots) -> None:
    """Leave the queue, and return a slot that was assigned at the same moment."""
    if acquiring.cancel():
        return
    if not acquiring.cancelled() and acquiring.exception() is None:
        slots.give_back(acquiring.result())
