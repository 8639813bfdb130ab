"""The event store: its health, and whether each data view and each saved search finds events.

The queries are those of Kibana's objects. `tidegate search` accepts them as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Final

from tidegate.checks.running.target import Target
from tidegate.observability_files.kibana import (
    MAY_BE_EMPTY,
    DataView,
    SavedSearch,
    data_views,
    saved_searches,
)
from tidegate.runtime.check_results import Result, count, failed, ok, skipped
from tidegate.runtime.http_client import HttpClient
from tidegate.store import open_store
from tidegate.store.base import OWNER, EventStore, Owner, SearchRequest
from tidegate.store.kinds import owner, store_server

Counter = Callable[[DataView, str], Awaitable[int]]
"""Counts the events of a data view that match a Lucene query."""

TRACES: Final = "tidegate-traces"
DECISIONS: Final = "tidegate-decisions"
# For each data view, the type of stream and the query for the embedded store.
_EMBEDDED: Final = {
    "tidegate-logs": ("logs", ""),
    TRACES: ("traces", ""),
    DECISIONS: ("logs", "event.dataset:tidegate.decision"),
    "tidegate-events": (None, ""),
}
ALERTS: Final = "tidegate-drift"
WITHOUT_EVENTS: Final = "no event; replicas.command writes its own only with tidegate.telemetry"


async def check(target: Target) -> list[Result]:
    """Check the store's health, then count the events of each data view and each search."""
    if store_server(target.settings):
        server = target.elasticsearch()
        return [
            await _health(server),
            *(await _counts(target, elasticsearch_counter(server, owner(target.settings)))),
        ]
    with closing(open_store(target.settings, read_only=True)) as store:
        return await _counts(target, _embedded(store))


async def _health(server: HttpClient) -> Result:
    # Not `GET /`: a distribution without the module rest-root does not have it.
    (node, *_) = (await server.get("/_nodes/_local"))["nodes"].values()
    version = node["version"]
    health = await server.get("/_cluster/health")
    text = f"Elasticsearch {version} is {health['status']}"
    return failed("health", text) if health["status"] == "red" else ok("health", text)


def elasticsearch_counter(server: HttpClient, whose: Owner) -> Counter:
    """Counts the events of this owner in Elasticsearch."""
    # Other releases may share the server.
    filters = [{"term": {name: value}} for name, value in zip(OWNER, whose, strict=True) if value]

    async def found(view: DataView, query: str) -> int:
        # As Kibana does: it sends a Lucene query unchanged.
        text = {"query_string": {"query": query or "*", "analyze_wildcard": True}}
        wanted = {"bool": {"filter": [*filters, text]}}
        body = {"size": 0, "track_total_hits": True, "query": wanted}
        response = await server.post(f"/{view.pattern}/_search", body)
        return int(response["hits"]["total"]["value"])

    return found


def _embedded(store: EventStore) -> Counter:
    async def found(view: DataView, query: str) -> int:
        stream, dataset = _EMBEDDED[view.id]
        combined = " AND ".join(f"({part})" for part in (dataset, query) if part)
        request = SearchRequest(query=combined, stream=stream, size=0)  # type: ignore[arg-type]
        return (await asyncio.to_thread(store.search, request)).total

    return found


async def _counts(target: Target, found: Counter) -> list[Result]:
    searches = [await _search(target, one, found) for one in saved_searches(target.settings)]
    return [*await count_views(target, found), *searches]


async def count_views(target: Target, found: Counter) -> list[Result]:
    """Whether each data view has events."""
    return [await _view(target, view, found) for view in data_views(target.settings)]


async def _view(target: Target, view: DataView, found: Counter) -> Result:
    name = view.name.removeprefix("Tidegate ")
    if reason := skip_reason(target, view):
        return skipped(name, reason)
    number = await found(view, "")
    if number:
        return ok(name, count(number, "event"))
    if target.settings.replicas.command:
        return skipped(name, WITHOUT_EVENTS)
    return failed(name, f"no event in {view.pattern}")


async def _search(target: Target, search: SavedSearch, found: Counter) -> Result:
    name = search.title.removeprefix("Tidegate: ")
    if reason := skip_reason(target, search.view):
        return skipped(name, reason)
    number = await found(search.view, search.query)
    if number:
        return ok(name, count(number, "event"))
    if search.id == ALERTS and target.supervisor:
        return skipped(name, "no event; local mode starts no Alertmanager, which would report them")
    if search.id in MAY_BE_EMPTY:
        return ok(name, "no event")
    if target.settings.replicas.command:
        return skipped(name, WITHOUT_EVENTS)
    return failed(name, f"{search.query or 'everything'} finds no event in {search.view.pattern}")


def skip_reason(target: Target, view: DataView) -> str:
    """Why a data view may have no events; empty if it must have some."""
    settings = target.settings
    if view.id == TRACES and settings.telemetry.tracing == "off":
        return "telemetry.tracing is off: no spans are recorded"
    if view.id == DECISIONS and not settings.autoscaler.enabled:
        return "autoscaler.enabled is false: there are no decisions"
    return ""
