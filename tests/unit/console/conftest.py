"""The console over an embedded store of its own, as a client sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx
import pytest

from tidegate.console.app import create_app
from tidegate.console.sources import open_sources
from tidegate.runtime.event_log import APP, EventLog
from tidegate.settings import Settings, load
from tidegate.store import open_store
from tidegate.store.base import EventStore

ROOT = "http://127.0.0.1:8080"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(stack={"data_dir": tmp_path}, prometheus={"port": 9})


@pytest.fixture
def store(settings: Settings) -> Iterator[EventStore]:
    with closing(open_store(settings)) as opened:
        yield opened


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The console; what it reports as a fault fails the test."""
    event_log = EventLog.to_files(settings, "console", APP)
    async with AsyncExitStack() as stack:
        sources = await stack.enter_async_context(open_sources(settings))
        app, live = create_app(sources, event_log)
        stack.callback(live.close)
        transport = httpx.ASGITransport(app)
        yield await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url=ROOT, follow_redirects=False)
        )
    event_log.close()
    assert event_log.faults == 0
