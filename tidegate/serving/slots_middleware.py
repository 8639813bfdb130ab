"""The middleware that lets an application work on as many requests at once as it has slots."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import ContextVar
from typing import Final

from tidegate.serving.json_response import error_body, send_json
from tidegate.serving.slot_paths import SlotPaths
from tidegate.serving.slots import SLOT_KEY, NoSlotError, Slot, Slots
from tidegate.serving.waiting_request import WaitingRequest
from tidegate.telemetry import annotate, fail
from tidegate.telemetry.asgi import ASGIApp, Message, Receive, Scope, Send, ends_response

_UNLIMITED: Final = nullcontext()
_current_slots: ContextVar[Slots | None] = ContextVar("tidegate_current_slots", default=None)


async def acquire_slot() -> AbstractContextManager[Slot | None]:
    """Acquire a slot of the replica for this request, as a context manager that releases it.

    Use it at once: `with await acquire_slot():`. It is for applications that declare `manual_slots(app)`.
    Outside a replica (in a test, or under another server) there is no limit, and the slot is None. The wait
    becomes `tidegate.queue_ns` of the request's event.

    Raises:
        NoSlotError: the queue is full, or the wait was too long. Unless the application handles it, the
            response is a 503 with Retry-After.
    """
    slots = _current_slots.get()
    if slots is None:
        return _UNLIMITED
    slot = await slots.acquire()
    annotate(queue_ns=slot.waited_ns)
    return slot


class SlotsMiddleware:
    """Acquires a slot for each request that counts, and holds it until the last byte of the response.

    If the client disconnects while its request waits, the request leaves the queue and the application is not
    called. Later, the slot is held until the application has finished, at most `gateway.response_seconds`
    (tidegate/serving/abandoned_requests.py).
    Background tasks after the last byte hold no slot. Websockets take none.
    """

    def __init__(self, app: ASGIApp, slots: Slots, paths: SlotPaths) -> None:
        self.app = app
        self._slots = slots
        self._paths = paths

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve a request, in a slot if it counts."""
        if scope["type"] == "http":
            if self._paths.count(scope["path"]):
                return self._serve_in_slot(scope, receive, send)
            if self._paths.manual:
                return self._serve_manually(scope, receive, send)
        return self.app(scope, receive, send)

    async def _serve_in_slot(self, scope: Scope, receive: Receive, send: Send) -> None:
        waiting: WaitingRequest | None = None
        try:
            if self._slots.has_free:  # it does not suspend
                slot: Slot | None = await self._slots.acquire()
            else:
                waiting = WaitingRequest(receive)
                receive = waiting.receive
                slot = await waiting.acquire(self._slots)
            if slot is not None:
                annotate(queue_ns=slot.waited_ns)
                slot.task = asyncio.current_task()
                scope[SLOT_KEY] = slot
                response = _Response(slot, send)
                try:
                    await self.app(scope, receive, response.send)
                finally:
                    response.release()
        except NoSlotError as error:
            await _refuse(send, error)
        finally:
            if waiting is not None:
                waiting.close()

    async def _serve_manually(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        def send_observed(message: Message) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        token = _current_slots.set(self._slots)
        try:
            await self.app(scope, receive, send_observed)
        except NoSlotError as error:
            if started:
                raise
            await _refuse(send, error)
        finally:
            # A coroutine that was abandoned is closed in another context than it ran in.
            with suppress(ValueError):
                _current_slots.reset(token)


class _Response:
    """The response of a request in a slot; its last message releases the slot."""

    __slots__ = ("_held", "_send", "_slot", "_trailers")

    def __init__(self, slot: Slot, send: Send) -> None:
        self._slot = slot
        self._send = send
        self._held = True
        self._trailers = False

    async def send(self, message: Message) -> None:
        """Pass on a message; after the last one, the slot is free."""
        kind = message["type"]
        if self._held and kind == "http.response.body" and message.get("body"):
            self._slot.first_byte()
        await self._send(message)
        if kind == "http.response.start":
            self._trailers = bool(message.get("trailers", False))
        elif ends_response(message, trailers=self._trailers):
            self.release()

    def release(self) -> None:
        """Release the slot, unless it is released."""
        if self._held:
            self._held = False
            self._slot.slots.release(self._slot)


async def _refuse(send: Send, error: NoSlotError) -> None:
    fail("no_slot", error.message)
    body = error_body("slots", error.message, "no_slot")
    await send_json(send, 503, body, retry_after_seconds=error.retry_after_seconds)
