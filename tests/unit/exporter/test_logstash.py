"""Logstash's statistics become metrics."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tidegate.exporter.logstash import families, read_logstash
from tidegate.runtime.http_client import HttpError


@pytest.fixture
def stats() -> dict[str, Any]:
    """The response of `/_node/stats/pipelines` of a Logstash with Tidegate's pipelines, shortened.

    `documents` and `bulk_requests` as logstash-plugins/logstash-output-elasticsearch counts them:
    lib/logstash/plugin_mixins/elasticsearch/common.rb, lib/logstash/outputs/elasticsearch/http_client.rb.
    """

    def output(
        name: str, documents: dict[str, int], **bulk_requests: int | dict[str, int]
    ) -> dict[str, Any]:
        return {
            "id": name,
            "name": "elasticsearch",
            "documents": documents,
            "bulk_requests": bulk_requests,
            "events": {"in": 1},
        }

    return {
        "host": "logstash",
        "version": "9.2.8",
        "pipelines": {
            "main": {
                "events": {"in": 120, "filtered": 118, "out": 117, "duration_in_millis": 5},
                "flow": {"queue_backpressure": {"current": 0.25, "lifetime": 0.1}},
                "plugins": {
                    "inputs": [{"id": "collector", "name": "http"}],
                    "filters": [],
                    "outputs": [
                        output(
                            "events",
                            {
                                "successes": 110,
                                "non_retryable_failures": 5,
                                "retryable_failures": 4,
                            },
                            successes=9,
                            with_errors=2,
                            failures=7,
                            responses={"200": 11, "400": 6, "429": 1},
                        ),
                        output("dead_letters", {"successes": 2}, responses={"200": 1}),
                        {"id": "other", "name": "stdout"},
                    ],
                },
                "queue": {
                    "type": "persisted",
                    "events_count": 3,
                    "queue_size_in_bytes": 4096,
                    "max_queue_size_in_bytes": 536870912,
                },
                "dead_letter_queue": {
                    "queue_size_in_bytes": 1,
                    "max_queue_size_in_bytes": 134217728,
                    "dropped_events": 0,
                },
            },
            "dead-letters": {"events": {"in": 0, "filtered": 0, "out": 0}},
        },
    }


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
    with pytest.raises(HttpError, match="has no pipelines"):
        families(stats)


async def test_the_statistics_are_read_from_the_monitoring_api(stats: dict[str, Any]) -> None:
    async def get(_: web.Request) -> web.Response:
        return web.json_response(stats)

    app = web.Application()
    app.router.add_get("/_node/stats/pipelines", get)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        found = await read_logstash(str(server.make_url("/")), session)
        assert [one.name for one in found] == [one.name for one in families(stats)]
        with pytest.raises(HttpError, match="status 404"):
            await read_logstash(str(server.make_url("/wrong")), session)
