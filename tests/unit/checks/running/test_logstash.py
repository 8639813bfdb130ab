"""Logstash's responses are those of elastic/logstash 9: logstash-core/lib/logstash/api/modules/root.rb and
node_stats.rb, and `/_health_report` of org.logstash.health (indicators.pipelines.indicators.<id>).
"""

from __future__ import annotations

from typing import Any

import pytest

from support.doubles.http_doubles import Serve
from tidegate.checks.running import logstash
from tidegate.runtime.check_results import Result

QUEUE = {
    "type": "persisted",
    "events_count": 0,
    "queue_size_in_bytes": 1,
    "max_queue_size_in_bytes": 100,
}


def pipeline(**changes: Any) -> dict[str, Any]:
    return {
        "events": {"in": 10, "filtered": 10, "out": 10},
        "reloads": {"successes": 0, "failures": 0},
        "queue": QUEUE,
        "dead_letter_queue": {"queue_size_in_bytes": 1, "dropped_events": 0},
        **changes,
    }


async def check(
    serve: Serve, target: Any, pipelines: dict[str, Any], report: dict[str, Any] | None = None
) -> dict[str, Result]:
    node = {"host": "logstash", "version": "9.5.3", "status": "green"}
    url = await serve(
        {
            "GET /": (200, node),
            "GET /_health_report": (200, {**node, **(report or {})}),
            "GET /_node/stats/pipelines": (200, {**node, "pipelines": pipelines}),
        }
    )
    found = await logstash.check(target(exporter={"logstash_url": url}))
    return {one.name: one for one in found}


async def test_two_running_pipelines_pass(serve: Serve, target: Any) -> None:
    both = {"main": pipeline(), "dead-letters": pipeline()}
    results = await check(serve, target, both)
    assert [(one.name, one.state) for one in results.values()] == [
        ("health", "ok"),
        ("pipelines", "ok"),
        ("queues", "ok"),
        ("dead letters", "ok"),
    ]
    assert results["health"].text == "Logstash 9.5.3 is green"


@pytest.mark.parametrize(
    ("changes", "name", "text"),
    [
        ({"queue": {**QUEUE, "queue_size_in_bytes": 80}}, "queues", "main: 80% of its capacity"),
        ({"reloads": {"failures": 2}}, "pipelines", "main: 2 failed reloads"),
        ({"dead_letter_queue": {"dropped_events": 3}}, "dead letters", "3 events lost"),
    ],
)
async def test_a_problem_of_a_pipeline_is_named(
    serve: Serve, target: Any, changes: dict[str, Any], name: str, text: str
) -> None:
    results = await check(serve, target, {"main": pipeline(**changes), "dead-letters": pipeline()})
    assert {one.name for one in results.values() if one.state == "failed"} == {name}
    assert text in " ".join([results[name].text, *results[name].details])


async def test_a_missing_pipeline_and_an_unhealthy_one_are_named(serve: Serve, target: Any) -> None:
    unhealthy = {"status": "red", "symptom": "The pipeline is unhealthy; 1 area is impacted"}
    report = {
        "status": "red",
        "indicators": {"pipelines": {"status": "red", "indicators": {"main": unhealthy}}},
    }
    results = await check(serve, target, {"main": pipeline()}, report)
    assert results["pipelines"].details == ("dead-letters is not running",)
    assert results["health"].details == ("main: The pipeline is unhealthy; 1 area is impacted",)
