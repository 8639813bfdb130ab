"""Grafana's responses are those that test_grafana_panels.py names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from support import grafana_dashboards
from support.doubles.http_doubles import Answer, Answers, Serve
from tidegate.checks.running import grafana
from tidegate.checks.running.run import run_checks
from tidegate.runtime.check_results import Result

UIDS = ("prometheus", "elasticsearch-logs", "elasticsearch-traces")
SOURCES = ("Prometheus", "Elasticsearch logs", "Elasticsearch traces")
VALUES = [[1, 2], [0.5, 0.7]]
Check = Callable[..., Awaitable[dict[str, Result]]]


def returning(values: list[Any]) -> Callable[[Any], Answer]:
    """Grafana's answer to a query, with these columns."""

    def answer(body: Any) -> Answer:
        (asked,) = body["queries"]
        frames = [{"schema": {}, "data": {"values": values}}]
        return 200, {"results": {asked["refId"]: {"status": 200, "frames": frames}}}

    return answer


def answers(query: Any) -> Answers:
    return {
        "GET /api/health": (200, {"database": "ok", "version": "13.2.3", "commit": "abc"}),
        **{
            f"GET /api/datasources/uid/{uid}/health": (200, {"status": "OK", "message": "works"})
            for uid in UIDS
        },
        **{
            f"GET /api/dashboards/uid/{one['uid']}": (200, {"dashboard": one, "meta": {}})
            for one in grafana_dashboards.dashboards().values()
        },
        "POST /api/ds/query": query,
    }


@pytest.fixture
def check(serve: Serve, target: Any, tmp_path: Path) -> Check:
    """The results for a Grafana with these responses, by their names."""
    (tmp_path / "admin").write_text("secret\n")

    async def run(given: Answers, **sections: Any) -> dict[str, Result]:
        url = await serve(given, login="Basic YWRtaW46c2VjcmV0")
        verify = {"grafana_url": url, "grafana_password_file": tmp_path / "admin"}
        made = target(verify=verify, **sections)
        results = await run_checks(made, 0, checks={"Grafana": grafana.check})
        return {one.name: one for one in results["Grafana"]}

    return run


async def test_it_passes_where_each_data_source_returns_data(check: Check) -> None:
    sent: list[dict[str, Any]] = []

    def record(body: Any) -> Answer:
        sent.extend(body["queries"])
        return returning(VALUES)(body)

    results = await check(answers(record), service={"namespace": "shop"})
    assert {one.state for one in results.values()} == {"ok"}
    assert results["health"].text == "Grafana 13.2.3, database ok"
    number = len(grafana_dashboards.dashboards())
    assert results["dashboards"].text == f"all {number} are provisioned"
    assert [one["datasource"]["uid"] for one in sent] == list(UIDS)
    # Of this stack: the data source may be another Prometheus, of somebody's own Grafana.
    assert sent[0]["expr"] == 'up{job="gateway"}'
    assert [one["query"] for one in sent[1:]] == ['data_stream.namespace:"shop"'] * 2


@pytest.mark.parametrize("values", [[], [[1, 2], [None, None]]], ids=["no series", "NaN"])
async def test_a_data_source_without_data_fails(check: Check, values: list[Any]) -> None:
    results = await check(answers(returning(values)))
    for name in SOURCES:
        assert results[f"data source {name}"].state == "failed"
        assert "returns no data of the last 15 minutes" in results[f"data source {name}"].text


async def test_events_that_nobody_writes_are_not_asked_for(check: Check) -> None:
    given = answers(returning([]))
    without_spans = await check(given, telemetry={"tracing": "off"})
    assert without_spans["data source Elasticsearch traces"].state == "ok"
    assert without_spans["data source Elasticsearch logs"].state == "failed"
    program = await check(given, replicas={"command": ["my-service", "{port}"]})
    states = [program[f"data source {name}"].state for name in SOURCES]
    assert states == ["failed", "skipped", "skipped"]


async def test_a_failed_query_is_its_error(check: Check) -> None:
    def refuse(body: Any) -> Answer:
        (asked,) = body["queries"]
        return 400, {"results": {asked["refId"]: {"error": "unexpected status code 401"}}}

    results = await check(answers(refuse))
    assert results["data source Elasticsearch logs"].text == "unexpected status code 401"


async def test_what_is_missing_or_unhealthy_is_named(check: Check) -> None:
    given = answers(returning(VALUES))
    del given["GET /api/dashboards/uid/tidegate-host"]
    given["GET /api/datasources/uid/elasticsearch-logs/health"] = (
        400,
        {"status": "ERROR", "message": "Health check failed: no index"},
    )
    results = await check(given)
    assert "Health check failed: no index" in results["data source Elasticsearch logs"].text
    (detail,) = results["dashboards"].details
    assert detail.startswith("tidegate-host: ")
    assert "responded with status 404: Not Found" in detail


async def test_without_a_url_the_checks_are_skipped(target: Any) -> None:
    (only,) = await grafana.check(target())
    assert (only.state, only.text) == ("skipped", "verify.grafana_url is not set: no Grafana")
