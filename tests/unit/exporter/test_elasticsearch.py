"""Elasticsearch's responses become metrics, and failed requests are logged once."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client.core import Metric

from support.ports import free_port
from tidegate.events.event import Origin
from tidegate.exporter.backend import BackendError
from tidegate.exporter.elasticsearch import (
    Elasticsearch,
    _client,
    disk,
    documents,
    failures,
    health,
)
from tidegate.runtime.event_log import EventLog, StreamWriter, Terminal
from tidegate.settings import Elasticsearch as ElasticsearchSettings

NOWHERE = f"http://127.0.0.1:{free_port()}"
REQUESTS = "logs-tidegate.request-default"


def samples(*metrics: Metric) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("tidegate_elasticsearch_"), *sample.labels.values()): sample.value
        for metric in metrics
        for sample in metric.samples
    }


def docs(count: int) -> dict[str, Any]:
    return {"primaries": {"docs": {"count": count}}, "total": {"docs": {"count": 2 * count}}}


def test_the_metric_of_one_status_is_1() -> None:
    assert samples(health({"status": "red"})) == {
        ("cluster_status", "green"): 0,
        ("cluster_status", "yellow"): 0,
        ("cluster_status", "red"): 1,
    }


def test_the_disk_of_each_node_is_exported() -> None:
    body = {
        "nodes": {
            "x1": {"name": "a", "fs": {"total": {"available_in_bytes": 5, "total_in_bytes": 9}}},
            "x2": {"name": "b", "fs": {"total": {"available_in_bytes": 6, "total_in_bytes": 8}}},
        }
    }
    assert samples(*disk(body)) == {
        ("disk_free_bytes", "a"): 5,
        ("disk_free_bytes", "b"): 6,
        ("disk_bytes", "a"): 9,
        ("disk_bytes", "b"): 8,
    }


def test_the_documents_of_a_stream_are_summed_over_its_indices() -> None:
    body = {
        "indices": {
            f".ds-{REQUESTS}-2026.02.28-000001": docs(10),
            f".ds-{REQUESTS}-2026.03.01-000002": docs(5),
            ".ds-traces-tidegate.span-default-2026.03.01-000001": docs(3),
            "another-index": docs(99),
        }
    }
    assert samples(*documents(body)) == {
        ("documents", REQUESTS): 15,
        ("documents", "traces-tidegate.span-default"): 3,
    }


def test_the_documents_of_a_failure_store_are_summed_over_its_indices() -> None:
    buckets = [
        {"key": f".fs-{REQUESTS}-2026.02.28-000001", "doc_count": 2},
        {"key": f".fs-{REQUESTS}-2026.03.01-000004", "doc_count": 1},
        {"key": "unknown", "doc_count": 7},
    ]
    body = {"aggregations": {"by_index": {"buckets": buckets}}}
    assert samples(*failures(body)) == {
        ("failure_store_documents", REQUESTS): 3,
        ("failure_store_documents", "unknown"): 7,
    }
    assert samples(*failures({"hits": {"total": {"value": 0}}})) == {}


@dataclass
class ElasticsearchDouble:
    """An Elasticsearch with some canned responses."""

    url: str = ""
    bodies: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    logins: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        last = request.path.rsplit("/", 1)[-1]
        self.logins.append(request.headers.get("Authorization", ""))
        body = self.bodies.get(last)
        status = self.status if last == "health" else 200 if body is not None else 400
        return web.json_response(
            body or {"error": {"type": "no_handler", "reason": f"no {last}"}},
            status=status,
            headers={"X-Elastic-Product": "Elasticsearch"},
        )


@pytest.fixture
async def double() -> AsyncIterator[ElasticsearchDouble]:
    made = ElasticsearchDouble()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    server = TestServer(app)
    await server.start_server()
    made.url = str(server.make_url("/"))
    yield made
    await server.close()


def event_log(terminal: io.StringIO | None = None) -> EventLog:
    origin = Origin("flights", "1", "test", "exporter", "default")
    listener = Terminal(terminal or io.StringIO())
    return EventLog(StreamWriter(io.BytesIO()), origin, listeners=[listener])


def backend(
    double: ElasticsearchDouble, terminal: io.StringIO | None = None, **settings: Any
) -> Elasticsearch:
    return Elasticsearch(ElasticsearchSettings(url=double.url, **settings), event_log(terminal))


async def test_failed_requests_are_omitted_and_logged_once(double: ElasticsearchDouble) -> None:
    double.bodies = {
        "health": {"status": "yellow"},
        "docs": {"indices": {f".ds-{REQUESTS}-2026.03.01-000001": docs(4)}},
        "fs": {"nodes": {"x": {"name": "a"}}},
    }
    terminal = io.StringIO()
    elasticsearch = backend(double, terminal)
    for _ in range(2):
        found = samples(*await elasticsearch.read())
        assert {name for name, *_ in found} == {"cluster_status", "documents"}
    lines = terminal.getvalue().splitlines()
    assert len(lines) == 2
    assert "warn exporter: elasticsearch, disk: not exported: " in lines[0]
    assert "warn exporter: elasticsearch, failure stores: not exported: " in lines[1]
    double.bodies["_search"] = {"aggregations": {"by_index": {"buckets": []}}}
    await elasticsearch.read()
    assert "failure stores: available again" in terminal.getvalue()
    await elasticsearch.close()


async def test_the_error_of_a_refused_password_names_its_setting_and_the_file_is_read_again(
    double: ElasticsearchDouble, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("old\n")
    elasticsearch = backend(double, username="tidegate_reader", password_file=file)
    double.status = 401
    with pytest.raises(
        BackendError,
        match=r"^store.elasticsearch.password_file: .* refuses the login of 'tidegate_reader'",
    ):
        await elasticsearch.read()
    file.write_text("new\n")
    double.status, double.bodies = 200, {"health": {"status": "green"}}
    await elasticsearch.read()
    assert len(set(double.logins)) == 2
    await elasticsearch.close()


async def test_another_error_names_the_url(double: ElasticsearchDouble) -> None:
    double.status = 503
    elasticsearch = backend(double)
    with pytest.raises(BackendError, match=f"^{double.url}: .*503"):
        await elasticsearch.read()
    await elasticsearch.close()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"username": "u"}, "store.elasticsearch.password_file is needed with a username"),
        (
            {"username": "u", "password_file": Path("/nowhere")},
            "store.elasticsearch.password_file: .*No such file",
        ),
        (
            {"url": "https://localhost:9200", "ca_file": Path("/nowhere")},
            "store.elasticsearch.ca_file: /nowhere: No such file",
        ),
        ({"url": NOWHERE}, "NOWHERE cannot be reached"),
    ],
)
async def test_the_error_of_an_invalid_setting_names_it(
    settings: dict[str, Any], error: str
) -> None:
    elasticsearch = Elasticsearch(ElasticsearchSettings(**settings), event_log())
    with pytest.raises(BackendError, match=error.replace("NOWHERE", NOWHERE)):
        await elasticsearch.read()
    await elasticsearch.close()


def test_the_certificates_of_the_setting_are_trusted() -> None:
    settings = ElasticsearchSettings(url="https://localhost:9200", ca_file=Path(certifi.where()))
    (node,) = _client(settings).transport.node_pool.all()
    assert node.config.ca_certs == certifi.where()
