"""The flights artefact, trained once for this checkout, and applications that serve it in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI
from starlette.types import Message

from tidegate.service.artefacts.import_cache import find_model
from tidegate.service.http.app import create_app
from tidegate.service.model.artefact import SAMPLES, Artefact, load
from tidegate.service.serving.replica import Replica
from tidegate.service.training.train import train_flights
from tidegate.settings import Settings


@pytest.fixture(scope="session")
def flights() -> Artefact:
    folder = Path(__file__).parents[3] / "artefacts" / "flights"
    train_flights(folder)  # nothing happens if it is current
    return load(folder)


@pytest.fixture(scope="session")
def samples(flights: Artefact) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (flights.path / SAMPLES).read_bytes().splitlines()]


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

    def events(self, dataset: str = "request") -> list[dict[str, Any]]:
        """The events of a dataset written so far."""
        lines = [
            orjson.loads(line)
            for file in sorted(self.log_dir.glob("*.ndjson"))
            for line in file.read_bytes().splitlines()
        ]
        return [line for line in lines if line["event"]["dataset"] == f"tidegate.{dataset}"]


Serve = Callable[..., AbstractAsyncContextManager[Served]]


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a condition, at most `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (any condition, not one that has an event)
            await asyncio.sleep(0.002)


@pytest.fixture
def serve(flights: Artefact, tmp_path: Path) -> Serve:
    """Serves a model until the block ends: `async with serve(device={…}) as served: …`.

    With `loaded=False` the model is not loaded before the test sets `served.may_load`.
    """

    @asynccontextmanager
    async def serving(
        *,
        model: Path = flights.path,
        model_settings: Mapping[str, Any] | None = None,
        loaded: bool = True,
        **sections: Any,
    ) -> AsyncIterator[Served]:
        of_model = {"path": model, **(model_settings or {})}
        settings = Settings(model=of_model, stack={"data_dir": tmp_path}, **sections)
        app = create_app(settings)
        may_load = asyncio.Event()

        async def find_when_it_may(path: Path, data_dir: Path) -> Artefact:
            await may_load.wait()
            return await find_model(path, data_dir)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tidegate.service.serving.replica.find_model", find_when_it_may)
            async with lifespan(app):
                transport = httpx.ASGITransport(app, raise_app_exceptions=False)
                client = httpx.AsyncClient(transport=transport, base_url="http://flights")
                async with client:
                    served = Served(app, client, settings.log_dir, may_load)
                    if loaded:
                        may_load.set()
                        await until(lambda: served.replica.phase != "loading", 60)
                    yield served

    return serving


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start an application and end it, as a server does."""
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    outgoing: asyncio.Queue[Message] = asyncio.Queue()
    running = asyncio.create_task(
        app({"type": "lifespan", "asgi": {"version": "3.0"}}, incoming.get, outgoing.put)
    )
    await incoming.put({"type": "lifespan.startup"})
    assert (await outgoing.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:  # a test that fails leaves no task to the next one
        await incoming.put({"type": "lifespan.shutdown"})
        assert (await outgoing.get())["type"] == "lifespan.shutdown.complete"
        await running
