"""The console of a stack whose replicas run `replicas.command`, which need not write events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from support.samples.recent_events import event
from tidegate.settings import Settings, load
from tidegate.store.base import EventStore


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    command = ["server", "--port", "{port}"]
    return load(stack={"data_dir": tmp_path}, replicas={"command": command})


async def test_its_requests_are_the_events_of_the_gateway(
    client: httpx.AsyncClient, store: EventStore
) -> None:
    request = {"http": {"request": {"method": "GET"}}, "url": {"path": "/quote"}}
    gateway = {"gateway": {"queue_ns": 250_000_000}}
    about: dict[str, Any] = {"event": {"duration": 1_250_000_000}, "tidegate": gateway, **request}
    slow = event("slow", dataset="access", trace={"id": "a" * 32}, **about)
    store.append([slow, event("not traced", dataset="access", **about)])
    page = (await client.get("/")).text
    assert (
        "tidegate loadgen run steps --url http://127.0.0.1:8000 --method GET --path /</pre>" in page
    )
    assert '<body data-requests="tidegate.access"' in page
    assert f'href="/traces/{"a" * 32}">GET /quote</a></td>' in page
    assert "<td>GET /quote</td>" in page
    assert "1.25 s" in page
    assert "250 ms" in page
