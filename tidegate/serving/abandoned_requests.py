"""Ends requests that nobody waits for any more: one that hangs does not hold its slot for ever."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from tidegate.serving.slots import SLOT_KEY, Slot, Slots
from tidegate.telemetry.asgi import Scope
from tidegate.telemetry.request_record import SCOPE_KEY

ENDING_SECONDS: Final = 5.0
"""How long a stream may take to end when its client has left, and any request when it is cancelled."""
SOON: Final = 10.0
"""As many cancelled requests as slots within this many times the limit: a tenth of all time hangs."""


class AbandonedRequests:
    """Requests without a client: the gateway has answered a 504, or the client has left.

    Their tasks are cancelled. Threads cannot be: one that hangs goes on, and may hold a processor or a
    connection of a pool. So a replica is replaced if as many such requests as it has slots have not begun
    their responses within `SOON` times what one may hold, or if one does not end. One that has begun may be a
    stream that waits for news.

    Args:
        slots: the slots of the replica.
        seconds: how long a request may hold its slot without a client.
        replace: called once with the reason, to replace the replica.
        clock: in seconds.
    """

    def __init__(
        self,
        slots: Slots,
        seconds: float,
        replace: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = slots
        self._seconds = seconds
        self._replace: Callable[[str], None] | None = replace
        self._clock = clock
        self._hung: deque[float] = deque()
        self.any_cancelled = False

    def add(self, scope: Scope) -> None:
        """The client of this request has left before it had the whole response."""
        slot: Slot | None = scope.get(SLOT_KEY)
        if slot is not None and slot.task is not None:
            # A stream ends when it notices, so it is none that hangs, however long it was.
            wait = max(ENDING_SECONDS * slot.first_byte_sent, self._seconds - slot.held_seconds())
            asyncio.get_running_loop().call_later(wait, self._cancel, slot, scope)

    def _cancel(self, slot: Slot, scope: Scope) -> None:
        task = slot.task
        if task is None or task.done():  # it has left its slot
            return
        slot.abandoned = True
        task.cancel(
            f"cancelled after {slot.held_seconds():.0f} s in its slot: its client has left, and "
            f"gateway.response_seconds is {self._seconds:g}"
        )
        self.any_cancelled = True
        if not slot.first_byte_sent:
            self._count_hung()
        asyncio.get_running_loop().call_later(ENDING_SECONDS, self._check_end, slot, scope)

    def _count_hung(self) -> None:
        now = self._clock()
        self._hung.append(now)
        while self._hung[0] < now - SOON * self._seconds:
            self._hung.popleft()
        if len(self._hung) >= self._slots.count:
            self._replaced(f"{len(self._hung)} requests held their slots and were cancelled")

    def _check_end(self, slot: Slot, scope: Scope) -> None:
        if slot.task is not None:
            # It has no event of its own, as it has not ended.
            record = scope.get(SCOPE_KEY)
            which = (
                f": {record.method} {record.find_route().full}, trace {record.trace_id}"
                if record
                else ""
            )
            self._replaced(f"a cancelled request has not ended within {ENDING_SECONDS:g} s{which}")

    def _replaced(self, reason: str) -> None:
        if self._replace is not None:
            replace, self._replace = self._replace, None
            replace(reason)
