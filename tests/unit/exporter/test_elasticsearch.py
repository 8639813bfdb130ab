"""Elasticsearch's responses become metrics, and failed requests are logged once."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.core import Metric

from support.doubles.aiohttp_server import answering
from support.harnesses.event_files import MemoryLog
from tidegate.exporter.elasticsearch import disk, documents, failures, health, read_elasticsearch
from tidegate.runtime.event_log import Terminal
from tidegate.runtime.http_client import HttpError
from tidegate.settings import Elasticsearch as ElasticsearchSettings

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
    """An Elasticsearch with some canned responses, by the end of the path."""

    bodies: dict[str, Any] = field(default_factory=lambda: {"health": {"status": "yellow"}})
    status: int = 200
    logins: list[str] = field(default_factory=list)
    terminal: io.StringIO = field(default_factory=io.StringIO)
    read: Callable[..., Awaitable[list[Metric]]] = field(init=False)

    async def answer(self, request: web.Request) -> web.Response:
        self.logins.append(request.headers.get("Authorization", ""))
        body = self.bodies.get(request.path.rsplit("/", 1)[-1])
        if body is None:
            return web.json_response({"error": {"reason": "no handler"}}, status=400)
        return web.json_response(body, status=self.status)


@pytest.fixture
async def double() -> AsyncIterator[ElasticsearchDouble]:
    made = ElasticsearchDouble()
    log = MemoryLog("exporter", listeners=[Terminal(made.terminal)]).log
    async with answering(made.answer) as url, aiohttp.ClientSession() as session:

        async def read(**settings: Any) -> list[Metric]:
            with_url = ElasticsearchSettings(**{"url": url, **settings})
            return await read_elasticsearch(with_url, session, log)

        made.read = read
        yield made


async def test_failed_requests_are_omitted_and_logged_once(double: ElasticsearchDouble) -> None:
    double.bodies |= {
        "docs": {"indices": {f".ds-{REQUESTS}-2026.03.01-000001": docs(4)}},
        "fs": {"nodes": ["a"]},
    }
    for _ in range(2):
        found = samples(*await double.read())
        assert {name for name, *_ in found} == {"cluster_status", "documents"}
    lines = double.terminal.getvalue().splitlines()
    assert len(lines) == 2
    assert "warn exporter: elasticsearch, disk: not exported: " in lines[0]
    assert "warn exporter: elasticsearch, failure stores: not exported: " in lines[1]
    double.bodies["_search"] = {"aggregations": {"by_index": {"buckets": []}}}
    await double.read()
    assert "failure stores: available again" in double.terminal.getvalue()


async def test_the_error_of_a_refused_password_names_its_setting_and_the_file_is_read_again(
    double: ElasticsearchDouble, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    login = {"username": "tidegate_reader", "password_file": file}
    file.write_text("old\n")
    double.status = 401
    with pytest.raises(HttpError, match=r"^store.elasticsearch.password_file: .*'tidegate_reader'"):
        await double.read(**login)
    file.write_text("new\n")
    double.status = 200
    await double.read(**login)
    assert len(set(double.logins)) == 2


async def test_another_error_names_the_url(double: ElasticsearchDouble) -> None:
    double.status = 503
    with pytest.raises(HttpError, match=r"^http://.*/_cluster/health responded with status 503"):
        await double.read()


@pytest.mark.parametrize("body", [[], "ok", {}, {"status": "pass"}])
async def test_another_program_at_its_url_is_not_taken_for_it(
    double: ElasticsearchDouble, body: object
) -> None:
    double.bodies["health"] = body
    with pytest.raises(HttpError, match=r"/_cluster/health has no status of a cluster"):
        await double.read()
