"""A proxy or load balancer in front of Elasticsearch may refuse whole requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.doubles.aiohttp_server import serving
from tidegate.collector.batch_append import append_batch
from tidegate.events.event import Event, Origin, make_event
from tidegate.settings import Elasticsearch
from tidegate.store.base import RequestRefusedError, StoreUnavailableError
from tidegate.store.elasticsearch.store import ElasticsearchStore

ORIGIN = Origin("flights", "1.2.3", "local", "flights-1", "unit")


@dataclass
class Intermediary:
    """A proxy that refuses bulk requests larger than `max_bytes`, and answers each event with `item`."""

    max_bytes: int = 10**6
    item: dict[str, Any] = field(default_factory=lambda: {"status": 201})

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        status, value = 200, dict[str, Any]()
        if request.path == "/_bulk" and len(body) > self.max_bytes:
            status, value = 400, {"error": {"type": "illegal", "reason": "no"}, "status": 400}
        elif request.path == "/_bulk":
            value = {"items": [{"create": self.item}] * (len(body.splitlines()) // 2)}
        elif request.method == "PUT":
            value = {"acknowledged": True}
        product = {"X-Elastic-Product": "Elasticsearch"}
        return web.json_response(value, status=status, headers=product)


@pytest.fixture
def proxy() -> Intermediary:
    return Intermediary()


@pytest.fixture
def store(proxy: Intermediary) -> Iterator[ElasticsearchStore]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", proxy.answer)
    with serving(app) as url, closing(ElasticsearchStore(Elasticsearch(url=url))) as made:
        yield made


def events(*texts: str) -> list[Event]:
    return [make_event(ORIGIN, "app", text, unix_ns=time.time_ns()) for text in texts]


def test_if_every_bulk_request_is_refused_the_store_is_unavailable(
    store: ElasticsearchStore, proxy: Intermediary
) -> None:
    proxy.max_bytes = 0
    with pytest.raises(RequestRefusedError, match="no"):
        store.append(events("a"))
    with pytest.raises(StoreUnavailableError, match="every event of the batch failed"):
        append_batch(store, events("a", "b", "c"))


def test_if_smaller_bulk_requests_succeed_only_the_too_large_event_is_quarantined(
    store: ElasticsearchStore, proxy: Intermediary
) -> None:
    proxy.max_bytes = 1500
    (refused,) = append_batch(store, events("a", "b", "x" * 2000, "c", "d"))
    assert refused.index == 2
    assert "RequestRefusedError" in refused.reason


# elastic/elasticsearch 9.2, server/src/main/java/org/elasticsearch/indices/ShardLimitValidator.java
NO_SHARD_LEFT = (
    "Validation Failed: 1: this action would add [1] shards, but this cluster currently has "
    "[1000]/[1000] maximum normal shards open;"
)


def test_a_cluster_at_its_shard_limit_is_unavailable(
    store: ElasticsearchStore, proxy: Intermediary
) -> None:
    error = {"type": "validation_exception", "reason": NO_SHARD_LEFT}
    proxy.item = {"status": 400, "error": error}
    with pytest.raises(StoreUnavailableError, match="maximum normal shards open"):
        append_batch(store, events("a", "b"))
    # A client that writes the same text blocks nothing.
    reason = f"[1:2] failed to parse: '{NO_SHARD_LEFT}'"
    error |= {"type": "document_parsing_exception", "reason": reason}
    assert len(append_batch(store, events("a", "b"))) == 2


def test_a_certificate_authority_that_is_not_there_is_named() -> None:
    settings = Elasticsearch(url="https://localhost:9200", ca_file=Path("/nowhere"))
    with pytest.raises(
        StoreUnavailableError, match=r"^store\.elasticsearch\.ca_file: /nowhere: No"
    ):
        ElasticsearchStore(settings)
