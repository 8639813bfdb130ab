"""The Overview: it is there whatever the store holds, and while others search."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from support.samples.recent_events import event
from tidegate.console.app import create_app
from tidegate.console.live import Live
from tidegate.console.pages import overview
from tidegate.console.pages.overview import Overview
from tidegate.console.series import RANGES, Range
from tidegate.console.site import Site
from tidegate.console.sources import open_sources
from tidegate.runtime.event_log import APP, EventLog
from tidegate.settings import Settings
from tidegate.store.base import EventStore


async def test_odd_events_take_nothing_but_themselves_from_the_page(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    good = event("good", dataset="request", event={"duration": 12_000_000}, trace={"id": "a" * 32})
    odd = ("abc", [1, 2], {"a": 1})
    requests = [event("odd", dataset="request", event={"duration": one}) for one in odd]
    decision = {"reason": "up", "desired": 2, "previous": 1, "signals": "abc", "inputs": [1]}
    decided = event("odd", dataset="decision", tidegate={"decision": decision})
    store.append([good, *requests, decided])
    for path in ("/", "/scaling"):
        assert (await client.get(path)).status_code == 200, path
    page = (await client.get("/")).text
    assert page.count('href="/traces/') == 1
    assert "12 ms" in page


async def test_the_page_does_not_wait_for_the_searches_of_others(
    store: EventStore, settings: Settings
) -> None:
    del store
    end = threading.Event()

    def search() -> None:
        assert end.wait(60)

    event_log = EventLog.to_files(settings, "console", APP)
    async with open_sources(settings) as sources:
        app, _ = create_app(sources, event_log)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080"
        ) as client:
            searches = [asyncio.create_task(sources.in_thread(search)) for _ in range(2)]
            try:
                async with asyncio.timeout(30):
                    assert (await client.get("/")).status_code == 200
            finally:
                end.set()
                await asyncio.gather(*searches)


async def test_an_unexpected_exception_is_recorded_and_answered_with_all_headers(
    store: EventStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    del store

    async def now(_: Overview) -> Mapping[str, Any]:
        raise ZeroDivisionError

    monkeypatch.setattr(Overview, "now", now)
    event_log = EventLog.to_files(settings, "console", APP)
    async with open_sources(settings) as sources:
        app, _ = create_app(sources, event_log)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8080"
        ) as client:
            answer = await client.get("/")
    assert (answer.status_code, event_log.faults) == (500, 1)
    assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize("span", RANGES.values())
async def test_every_range_is_read_as_often(
    store: EventStore, settings: Settings, span: Range
) -> None:
    del store
    event_log = EventLog.to_files(settings, "console", APP)
    async with open_sources(settings) as sources:
        seen: list[float] = []

        class Seen(Live):
            def response(
                self, request: Request, name: str, read: Any, seconds: float, update: Any
            ) -> Response:
                seen.append(seconds)
                return super().response(request, name, read, seconds, update)

        site = Site(sources, Seen(event_log.fault), event_log, ())
        transport = httpx.ASGITransport(Starlette(routes=overview.routes(site)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            await client.head("/overview/live", params={"range": span.name})
    assert seen == [2.0]


@pytest.mark.parametrize("path", ["/", "/scaling", "/model"])
async def test_what_a_source_does_not_tell_is_not_said_to_be_nothing(
    client: httpx.AsyncClient, path: str
) -> None:
    page = (await client.get(path)).text
    assert "Nothing is known now: the banner says why." in page
    for text in ("No request in", "did not change", "Drift needs", "decided nothing", "is counted"):
        assert text not in page
