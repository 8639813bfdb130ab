"""Grafana's responses are those of grafana/grafana 13: pkg/api/ds_query.go (a failed query has status 400
and still has `results`), pkg/api/datasources.go (`/health`), and the data frames' JSON of
grafana-plugin-sdk-go, data/frame_json.go.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support import grafana_dashboards
from support.doubles.http_doubles import Answer, Answers, Serve
from tidegate.verify.checks import grafana
from tidegate.verify.checks.dashboard_variables import substitute
from tidegate.verify.results import Result

FRAMES = {"status": 200, "frames": [{"schema": {}, "data": {"values": [[1, 2], [0.5, 0.7]]}}]}
EMPTY = {"status": 200, "frames": [{"schema": {}, "data": {"values": []}}]}
COMMITTED = grafana_dashboards.dashboards()


def answers(query: Any) -> Answers:
    offered = {"status": "success", "data": ["carrier", "dest"]}
    label = "GET /api/datasources/uid/prometheus/resources/api/v1/label/feature/values"
    return {
        "GET /api/health": (200, {"database": "ok", "version": "13.2.3", "commit": "abc"}),
        **{
            f"GET /api/datasources/uid/{uid}/health": (200, {"status": "OK", "message": "works"})
            for uid in ("prometheus", "elasticsearch-logs", "elasticsearch-traces")
        },
        **{
            f"GET /api/dashboards/uid/{one['uid']}": (200, {"dashboard": one, "meta": {}})
            for one in COMMITTED.values()
        },
        label: (200, offered),
        "POST /api/ds/query": query,
    }


def found(body: Any) -> Answer:
    (asked,) = body["queries"]
    return 200, {"results": {asked["refId"]: FRAMES}}


async def check(serve: Serve, target: Any, tmp_path: Path, given: Answers) -> dict[str, Result]:
    (tmp_path / "admin").write_text("secret\n")
    url = await serve(given, login="Basic YWRtaW46c2VjcmV0")
    settings = {"grafana_url": url, "grafana_password_file": tmp_path / "admin"}
    return {one.name: one for one in await grafana.check(target(verify=settings))}


async def test_every_query_of_every_dashboard_runs_with_its_variables_substituted(
    serve: Serve, target: Any, tmp_path: Path
) -> None:
    sent: list[dict[str, Any]] = []

    def record(body: Any) -> Answer:
        assert body["from"].startswith("now-")
        sent.extend(body["queries"])
        return found(body)

    results = await check(serve, target, tmp_path, answers(record))
    assert {one.state for one in results.values()} == {"ok"}
    assert results["dashboard service"].text.endswith("with data")
    of_panels = sum(
        len(panel.get("targets", ()))
        for one in COMMITTED.values()
        for panel in grafana_dashboards.panels(one)
    )
    assert len(sent) >= of_panels > 100
    text = json.dumps(sent)
    assert {one["datasource"]["uid"] for one in sent} == {
        "prometheus",
        "elasticsearch-logs",
        "elasticsearch-traces",
    }
    # Grafana's data source substitutes the others.
    assert {name for name in re.findall(r"\$\{?([a-z_]\w*)", text) if name[:2] != "__"} == set()
    assert 'feature=\\"carrier\\"' in text
    assert "data_stream.namespace:* AND" in text


async def test_a_failed_query_names_its_panel_and_the_error(
    serve: Serve, target: Any, tmp_path: Path
) -> None:
    title = grafana_dashboards.targets("elasticsearch")[0].panel["title"]

    def refuse(body: Any) -> Answer:
        (asked,) = body["queries"]
        if asked["datasource"]["type"] == "elasticsearch":
            failure = {"error": "unexpected status code 401", "status": 400}
            return 400, {"results": {asked["refId"]: failure}}
        return found(body)

    results = await check(serve, target, tmp_path, answers(refuse))
    wrong = [one for one in results.values() if one.state == "failed"]
    assert any(f"{title}: unexpected status code 401" in one.details for one in wrong)
    assert results["dashboard host"].state == "ok"


async def test_queries_without_data_are_counted_and_a_dashboard_without_any_fails(
    serve: Serve, target: Any, tmp_path: Path
) -> None:
    def scarce(body: Any) -> Answer:
        (asked,) = body["queries"]
        arrivals = asked.get("expr") == "service:arrival_rate:1m"
        return 200, {"results": {asked["refId"]: FRAMES if arrivals else EMPTY}}

    results = await check(serve, target, tmp_path, answers(scarce))
    assert results["dashboard service"].state == "ok"
    assert ", 1 with data" in results["dashboard service"].text
    assert (results["dashboard host"].state, results["dashboard host"].text) == (
        "failed",
        f"{len(COMMITTED['host']['panels'])} queries, none with data",
    )
    assert results["dashboard runbooks"].text == "0 queries, 0 with data"


async def test_an_unhealthy_data_source_and_a_missing_dashboard_are_named(
    serve: Serve, target: Any, tmp_path: Path
) -> None:
    given = answers(found)
    del given["GET /api/dashboards/uid/tidegate-host"]
    given["GET /api/datasources/uid/elasticsearch-logs/health"] = (
        400,
        {"status": "ERROR", "message": "Health check failed: no index"},
    )
    results = await check(serve, target, tmp_path, given)
    assert "Health check failed: no index" in results["data source Elasticsearch logs"].text
    assert "responded with status 404: Not Found" in results["dashboard host"].text


async def test_without_a_url_the_checks_are_skipped(target: Any) -> None:
    (only,) = await grafana.check(target())
    assert (only.state, only.text) == ("skipped", "verify.grafana_url is not set: no Grafana")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${logs}", "L"),
        ("$window", "5m"),
        ("a:$window)", "a:5m)"),
        ("${window:raw}", "5m"),
        ("[$__rate_interval]", "[$__rate_interval]"),
        ("$unknown", "$unknown"),
    ],
)
def test_variables_are_substituted_as_in_a_browser(text: str, expected: str) -> None:
    assert substitute({"a": [text]}, {"logs": "L", "window": "5m"}) == {"a": [expected]}
