"""The service's application, served in the process of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp, Message

from support.harnesses.event_files import events_in
from tidegate.service.serving.model_service import ModelService
from tidegate.serving import Replica


@dataclass
class Served:
    """A running application and its client. Its model is loaded once `may_load` is set."""

    app: FastAPI
    client: httpx.AsyncClient
    log_dir: Path
    may_load: asyncio.Event

    @property
    def replica(self) -> Replica:
        replica: Replica = self.app.state.replica
        return replica

    @property
    def service(self) -> ModelService:
        service: ModelService = self.app.state.service
        return service

    def events(self, dataset: str = "request") -> list[dict[str, Any]]:
        """The events of a dataset written so far."""
        return events_in(self.log_dir, dataset)


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Start and stop an application, as a server does."""
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    outgoing: asyncio.Queue[Message] = asyncio.Queue()
    running = asyncio.ensure_future(
        app({"type": "lifespan", "asgi": {"version": "3.0"}}, incoming.get, outgoing.put)
    )
    await incoming.put({"type": "lifespan.startup"})
    assert (await outgoing.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:  # also after a failure, so that no task remains for the next test
        await incoming.put({"type": "lifespan.shutdown"})
        assert (await outgoing.get())["type"] == "lifespan.shutdown.complete"
        await running
