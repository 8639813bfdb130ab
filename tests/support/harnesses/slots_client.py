"""An application behind the middleware of the slots, and clients that disconnect when the test says so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from support.samples.asgi_apps import http_scope
from tidegate.serving import SlotMetrics, Slots
from tidegate.serving.slot_paths import SlotPaths
from tidegate.serving.slots_middleware import SlotsMiddleware
from tidegate.settings import Settings
from tidegate.telemetry.asgi import ASGIApp, Message


@dataclass
class Client:
    """One request and its connection; the client disconnects when the test says so."""

    app: ASGIApp
    path: str = "/work"
    body: tuple[bytes, ...] = (b"",)
    sent: list[Message] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.gone = asyncio.Event()
        self._messages: list[Message] = [
            {"type": "http.request", "body": part, "more_body": number < len(self.body)}
            for number, part in enumerate(self.body, 1)
        ]

    async def _receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if not self.gone.is_set():
            self.sent.append(message)

    def start(self) -> Client:
        call = self.app(http_scope(self.path, "POST"), self._receive, self._send)
        self.task = asyncio.ensure_future(call)
        return self

    async def end(self) -> Client:
        assert self.task is not None
        await asyncio.wait_for(self.task, 30)
        return self

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


class Shop:
    """An application whose requests end when the test lets them."""

    def __init__(self, count: int = 1, **settings: Any) -> None:
        self.let, self.served, self.received = asyncio.Event(), 0, b""
        self.registry = CollectorRegistry()
        found = Settings(slots={"per_replica": count, **settings})
        self.slots = Slots(
            count,
            wait_length=found.slots.wait_length,
            wait_seconds=found.slots.wait_seconds,
            metrics=SlotMetrics(self.registry),
        )
        self.app = SlotsMiddleware(self.serve, self.slots, SlotPaths(found, self.serve))

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            self.received += message["body"]
            if not message["more_body"]:
                break
        await self.let.wait()
        self.served += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    def client(self, path: str = "/work", *body: bytes) -> Client:
        return Client(self.app, path, body or (b"",)).start()

    def seconds_counted(self) -> float | None:
        return self.registry.get_sample_value("tidegate_slot_seconds_count")
