"""The console of a stack whose replicas run `replicas.command`, which need not write events."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tidegate.settings import Settings, load
from tidegate.store.base import EventStore


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    command = ["server", "--port", "{port}"]
    return load(stack={"data_dir": tmp_path}, replicas={"command": command})


async def test_its_requests_are_the_events_of_the_gateway(
    client: httpx.AsyncClient, store: EventStore
) -> None:
    del store
    page = (await client.get("/")).text
    assert '<body data-requests="tidegate.access"' in page
    assert "The program of <code>replicas.command</code> wrote no event" in page
