"""The console over an embedded store of its own, as a client sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tidegate.console.app import create_app
from tidegate.console.sources import Sources, open_sources
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
async def sources(settings: Settings) -> AsyncIterator[Sources]:
    async with open_sources(settings) as opened:
        yield opened


@pytest.fixture
async def client(settings: Settings, sources: Sources) -> AsyncIterator[httpx.AsyncClient]:
    """The console; what it reports as a fault fails the test."""
    with closing(EventLog.to_files(settings, "console", APP)) as event_log:
        app, live = create_app(sources, event_log)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ROOT) as opened:
            yield opened
        live.close()
    assert event_log.faults == 0
