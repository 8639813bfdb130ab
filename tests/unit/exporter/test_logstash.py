"""Logstash's statistics become metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.ports import free_port
from tidegate.exporter.backend import BackendError
from tidegate.exporter.logstash import Logstash, families


def samples(stats: object) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("tidegate_logstash_"), *sample.labels.values()): sample.value
        for family in families(stats)
        for sample in family.samples
    }


def test_the_statistics_of_each_pipeline_are_exported(stats: dict[str, Any]) -> None:
    assert samples(stats) == {
        ("queue_bytes", "main"): 4096,
        ("queue_capacity_bytes", "main"): 536870912,
        ("queue_events", "main"): 3,
        ("queue_backpressure", "main"): 0.25,
        ("dead_letter_queue_bytes", "main"): 1,
        ("dead_letter_queue_capacity_bytes", "main"): 134217728,
        ("dead_letters_dropped_total", "main"): 0,
        ("events_total", "main", "in"): 120,
        ("events_total", "main", "filtered"): 118,
        ("events_total", "main", "out"): 117,
        ("events_total", "dead-letters", "in"): 0,
        ("events_total", "dead-letters", "filtered"): 0,
        ("events_total", "dead-letters", "out"): 0,
        ("documents_total", "main", "events", "successes"): 110,
        ("documents_total", "main", "events", "non_retryable_failures"): 5,
        ("documents_total", "main", "events", "retryable_failures"): 4,
        ("documents_total", "main", "events", "dlq_routed"): 0,
        ("documents_total", "main", "dead_letters", "successes"): 2,
        ("documents_total", "main", "dead_letters", "non_retryable_failures"): 0,
        ("documents_total", "main", "dead_letters", "retryable_failures"): 0,
        ("documents_total", "main", "dead_letters", "dlq_routed"): 0,
        ("bulk_failures_total", "main", "events"): 7,
        ("bulk_failures_total", "main", "dead_letters"): 0,
        ("bulk_responses_total", "main", "events", "200"): 11,
        ("bulk_responses_total", "main", "events", "400"): 6,
        ("bulk_responses_total", "main", "events", "429"): 1,
        ("bulk_responses_total", "main", "dead_letters", "200"): 1,
    }


def test_missing_and_invalid_values_are_omitted(stats: dict[str, Any]) -> None:
    main = stats["pipelines"]["main"]
    main["queue"] = {"type": "memory", "events_count": None, "queue_size_in_bytes": True}
    main["flow"]["queue_backpressure"]["current"] = "NaN"
    (events, *_) = main["plugins"]["outputs"]
    events["bulk_requests"] = {"failures": None, "responses": {"200": "many"}}
    main["plugins"]["outputs"] = [events]
    del main["dead_letter_queue"]
    exported = {name for name, *_ in samples(stats)}
    assert exported == {"events_total", "documents_total", "bulk_failures_total"}
    main["plugins"] = None
    assert {name for name, *_ in samples(stats)} == {"events_total"}


@pytest.mark.parametrize("stats", [[], {}, {"pipelines": []}, "text", None])
def test_an_unexpected_response_is_an_error(stats: object) -> None:
    with pytest.raises(BackendError, match="has no pipelines"):
        families(stats)


@pytest.fixture
async def api(stats: dict[str, Any]) -> AsyncIterator[TestServer]:
    async def get(request: web.Request) -> web.Response:
        if request.query_string == "broken":
            return web.Response(text="<html>")
        return web.json_response(stats)

    app = web.Application()
    app.router.add_get("/_node/stats/pipelines", get)
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


async def test_repeated_reads_use_one_session(api: TestServer) -> None:
    logstash = Logstash(str(api.make_url("/")))
    for _ in range(2):
        assert len(await logstash.read()) == 11
    await logstash.close()


@pytest.mark.parametrize(
    ("path", "error"), [("/wrong", "status 404"), ("/_node/stats/pipelines?broken#", "is not JSON")]
)
async def test_a_failed_request_is_an_error(api: TestServer, path: str, error: str) -> None:
    logstash = Logstash(str(api.make_url("/")).rstrip("/") + path)
    with pytest.raises(BackendError, match=error):
        await logstash.read()
    await logstash.close()


async def test_an_unreachable_logstash_is_an_error() -> None:
    logstash = Logstash(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(BackendError, match="cannot be reached: connection refused"):
        await logstash.read()
    await logstash.close()


async def test_close_without_a_read() -> None:
    await Logstash(f"http://127.0.0.1:{free_port()}").close()
