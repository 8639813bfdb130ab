"""The Overview: it is there whatever the store holds, and while others search."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pytest

from support.samples.recent_events import event
from tidegate.console.app import create_app
from tidegate.console.live import Live
from tidegate.console.pages.overview import incidents
from tidegate.console.runbooks import rendered, runbooks
from tidegate.console.series import RANGES
from tidegate.console.sources import Sources
from tidegate.runtime.event_log import APP, EventLog
from tidegate.settings import Settings
from tidegate.stack.supervisor.status import FiringAlert, StackStatus
from tidegate.store.base import EventStore
from tidegate.store.query.parser import parse


async def test_odd_events_take_nothing_but_themselves_from_the_page(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    about: dict[str, Any] = {"event": {"duration": 12_000_000}, "tidegate": {"queue_ns": 7_000_000}}
    good = event("good", dataset="request", trace={"id": "a" * 32}, **about)
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
    assert ">7 ms</td>" in page


def test_alerts_of_one_cause_are_one_incident_and_the_critical_one_is_first() -> None:
    names = {
        "critical": ["DriftFeatureCritical", "DriftFeatureCritical", "ServiceLatencyBurnFast"],
        "warning": ["DriftFeatureWarning", "GatewayQueueGrowing", "ModelConceptDrift", "OfMine"],
    }
    alerts = [
        FiringAlert(name=name, severity=severity, summary="")
        for severity, some in names.items()
        for name in some
    ]
    found = {subject: [one.name for one in each] for subject, each in incidents(alerts).items()}
    assert found == {
        "the model": [*names["critical"][:2], "DriftFeatureWarning", "ModelConceptDrift"],
        "the service": ["ServiceLatencyBurnFast", "GatewayQueueGrowing"],
        "OfMine": ["OfMine"],
    }


@pytest.mark.usefixtures("store")
async def test_an_alert_of_a_persons_own_rules_has_no_link_to_a_runbook(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, own = "GatewayDown", "Of/<b>Mine"
    alerts = [
        FiringAlert(name=name, severity="warning", summary=f"{name} {number}")
        for name in (ours, own)
        for number in range(2)
    ]
    given: dict[str, Any] = {
        **dict.fromkeys(("state", "service", "gateway", "prometheus", "store"), "ready"),
        **dict.fromkeys(("min", "max", "desired", "running", "ready", "slots", "own_slots"), 1),
    }
    stack = StackStatus(
        **given,
        simulated_device=False,
        objective_seconds=0.5,
        components=[],
        replicas=[],
        alerts=alerts,
    )

    async def status(_: Sources) -> StackStatus:
        return stack

    monkeypatch.setattr(Sources, "status", status)
    page = (await client.get("/")).text
    assert set(re.findall(r'href="(/runbooks/[^"]*)"', page)) == {f"/runbooks/{ours}"}
    assert "Of/&lt;b&gt;Mine 1" in page
    assert "<b>Mine" not in page


@pytest.mark.usefixtures("store")
async def test_every_runbook_is_a_page_whose_queries_and_runbooks_are_links(
    client: httpx.AsyncClient,
) -> None:
    pages = {name: (await client.get(f"/runbooks/{name}")).text for name in runbooks()}
    assert "ServiceLatencyBurnFast" in pages
    for name, page in pages.items():
        text = page.partition("<article")[2]
        assert "```" not in text, name
        for link in re.findall(r'href="([^"]*)"', text):
            path = unescape(link)
            if path.startswith("/search"):
                assert parse(httpx.URL(path).params["q"]), link
            else:
                assert path.removeprefix("/runbooks/") in pages or "g0.expr" in path, link
    burn = pages["ServiceLatencyBurnFast"]
    query = "q=event.dataset%3Atidegate.request+AND+event.duration%3A%3E500000000"
    assert f'<a href="/search?{query}">$ tidegate search' in burn
    assert 'href="http://127.0.0.1:9/graph?g0.expr=service%3Aqueue%3Anow&' in burn
    assert (await client.get("/runbooks/..%2Fsecret")).status_code == 404


def test_html_in_a_runbook_is_text() -> None:
    assert "<b>" not in rendered("<b>x</b> [y](javascript:z)\n\n```promql\n<b>\n```", "")
    assert "javascript" not in re.sub(r">[^<]*<", "", rendered("[y](javascript:z)", ""))


@pytest.mark.usefixtures("store")
async def test_the_page_does_not_wait_for_the_searches_of_others(
    sources: Sources, client: httpx.AsyncClient
) -> None:
    end = threading.Event()

    def search() -> None:
        assert end.wait(60)

    searches = [asyncio.create_task(sources.in_thread(search)) for _ in range(2)]
    try:
        async with asyncio.timeout(30):
            assert (await client.get("/")).status_code == 200
    finally:
        end.set()
        await asyncio.gather(*searches)


@pytest.mark.usefixtures("store")
async def test_an_unexpected_exception_is_recorded_and_answered_with_all_headers(
    sources: Sources, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def status(_: Sources) -> StackStatus:
        raise ZeroDivisionError

    monkeypatch.setattr(Sources, "status", status)
    event_log = EventLog.to_files(settings, "console", APP)
    app, _ = create_app(sources, event_log)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/")
    assert (answer.status_code, event_log.faults) == (500, 1)
    assert "Content-Security-Policy" in answer.headers


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("span", RANGES)
async def test_every_range_is_read_as_often(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, span: str
) -> None:
    seen: list[float] = []

    async def frames(_: Live, name: str, read: Any, seconds: float, *__: Any) -> AsyncIterator[str]:
        seen.append(seconds)
        yield ""

    monkeypatch.setattr(Live, "frames", frames)
    await client.get("/overview/live", params={"range": span})
    assert seen == [2.0]


@pytest.mark.parametrize("path", ["/", "/scaling", "/model", "/errors", "/replicas"])
async def test_what_a_source_does_not_tell_is_not_said_to_be_nothing(
    client: httpx.AsyncClient, path: str
) -> None:
    page = (await client.get(path)).text
    assert "Nothing is known now: the banner says why." in page
    nothing = (
        "No request in",
        "no requests",
        "did not change",
        "Drift needs",
        "decided nothing",
        "No exception",
    )
    for text in (*nothing, "is counted"):
        assert text not in page


async def test_head_of_a_stream_reads_nothing(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        answer = await client.head("/overview/live")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
