"""A proxy or load balancer in front of Elasticsearch may refuse whole requests."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from tidegate.collector.batch_append import append_batch
from tidegate.events.event import Event, Origin, make_event
from tidegate.settings import Elasticsearch
from tidegate.store.base import RequestRefusedError, StoreUnavailableError
from tidegate.store.elasticsearch.store import ElasticsearchStore

ORIGIN = Origin("flights", "1.2.3", "local", "flights-1", "unit")


class Intermediary(BaseHTTPRequestHandler):
    """A proxy that refuses bulk requests larger than `max_bytes`, and answers each event with `item`."""

    max_bytes: ClassVar[int]
    item: ClassVar[dict[str, Any]] = {"status": 201}

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.startswith("/_bulk"):
            self._answer(200, {"acknowledged": True})
        elif len(body) > self.max_bytes:
            self._answer(400, {"error": {"type": "illegal", "reason": "no"}, "status": 400})
        else:
            count = len(body.splitlines()) // 2
            self._answer(200, {"items": [{"create": self.item}] * count})

    def do_GET(self) -> None:
        self._answer(200, {})

    def _answer(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (
            ("X-Elastic-Product", "Elasticsearch"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(data))),
        ):
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def store() -> Iterator[ElasticsearchStore]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Intermediary) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        with closing(ElasticsearchStore(Elasticsearch(url=url))) as made:
            yield made
        server.shutdown()
        thread.join()


def events(*texts: str) -> list[Event]:
    return [make_event(ORIGIN, "app", text, unix_ns=time.time_ns()) for text in texts]


def test_if_every_bulk_request_is_refused_the_store_is_unavailable(
    store: ElasticsearchStore,
) -> None:
    Intermediary.max_bytes = 0
    with pytest.raises(RequestRefusedError, match="no"):
        store.append(events("a"))
    with pytest.raises(StoreUnavailableError, match="every event of the batch failed"):
        append_batch(store, events("a", "b", "c"))


def test_if_smaller_bulk_requests_succeed_only_the_too_large_event_is_quarantined(
    store: ElasticsearchStore,
) -> None:
    Intermediary.max_bytes = 1500
    (refused,) = append_batch(store, events("a", "b", "x" * 2000, "c", "d"))
    assert refused.index == 2
    assert "RequestRefusedError" in refused.reason


# elastic/elasticsearch 9.2, server/src/main/java/org/elasticsearch/indices/ShardLimitValidator.java
NO_SHARD_LEFT = (
    "Validation Failed: 1: this action would add [1] shards, but this cluster currently has "
    "[1000]/[1000] maximum normal shards open;"
)


def test_a_cluster_at_its_shard_limit_is_unavailable(
    store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(kind: str, reason: str) -> None:
        item = {"status": 400, "error": {"type": kind, "reason": reason}}
        monkeypatch.setattr(Intermediary, "item", item)

    monkeypatch.setattr(Intermediary, "max_bytes", 10**6)
    answer("validation_exception", NO_SHARD_LEFT)
    with pytest.raises(StoreUnavailableError, match="maximum normal shards open"):
        append_batch(store, events("a", "b"))
    # A client that writes the same text blocks nothing.
    answer("document_parsing_exception", f"[1:2] failed to parse: '{NO_SHARD_LEFT}'")
    assert len(append_batch(store, events("a", "b"))) == 2


def test_a_certificate_authority_that_is_not_there_is_named() -> None:
    settings = Elasticsearch(url="https://localhost:9200", ca_file=Path("/nowhere"))
    with pytest.raises(
        StoreUnavailableError, match=r"^store\.elasticsearch\.ca_file: /nowhere: No"
    ):
        ElasticsearchStore(settings)
