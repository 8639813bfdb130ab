"""Grafana's responses are those of grafana/grafana 13: pkg/api/ds_query.go (a failed query has status 400
and still has `results`), pkg/api/datasources.go (`/health`); the data frames' JSON of grafana-plugin-sdk-go,
data/frame_json.go (NaN is null); and the resource `_msearch` of grafana-elasticsearch-datasource,
pkg/elasticsearch/elasticsearch.go (the response of Elasticsearch).
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from support import grafana_dashboards
from support.doubles.http_doubles import Answer, Answers, Serve
from support.panels import grafana
from support.panels.dashboard_variables import substitute
from tidegate.runtime.check_results import Result

FRAMES = {"status": 200, "frames": [{"schema": {}, "data": {"values": [[1, 2], [0.5, 0.7]]}}]}
NAN = {"status": 200, "frames": [{"schema": {}, "data": {"values": [[1, 2], [None, None]]}}]}
EMPTY = {"status": 200, "frames": [{"schema": {}, "data": {"values": []}}]}
COMMITTED = grafana_dashboards.dashboards()
EXPORTER = {"logstash_url": "http://127.0.0.1:9600"}
FEATURES = "GET /api/datasources/uid/prometheus/resources/api/v1/label/feature/values"
NAMESPACES = "POST /api/datasources/uid/elasticsearch-logs/resources/_msearch"


def namespaces(*names: str) -> dict[str, Any]:
    buckets = [{"key": name, "doc_count": 1} for name in names]
    return {"responses": [{"aggregations": {"1": {"buckets": buckets}}, "status": 200}]}


def answers(query: Any) -> Answers:
    offered = {"status": "success", "data": ["carrier", "dest"]}
    return {
        **{
            f"GET /api/dashboards/uid/{one['uid']}": (200, {"dashboard": one, "meta": {}})
            for one in COMMITTED.values()
        },
        FEATURES: (200, offered),
        NAMESPACES: (200, namespaces("default", "other")),
        "POST /api/ds/query": query,
    }


def answering(frames: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Answer]:
    """Grafana's answer to a query."""

    def answer(body: Any) -> Answer:
        (asked,) = body["queries"]
        return 200, {"results": {asked["refId"]: frames(asked)}}

    return answer


Check = Callable[..., Awaitable[dict[str, Result]]]

found = answering(lambda _: FRAMES)
nothing = answering(lambda _: EMPTY)


@pytest.fixture
def check(serve: Serve, target: Any, tmp_path: Path) -> Check:
    """The results for a Grafana with these responses, by their names."""
    (tmp_path / "admin").write_text("secret\n")

    async def run(given: Answers, **sections: Any) -> dict[str, Result]:
        url = await serve(given, login="Basic YWRtaW46c2VjcmV0")
        verify = {"grafana_url": url, "grafana_password_file": tmp_path / "admin"}
        made = target(**{**sections, "verify": {**verify, **sections.get("verify", {})}})
        return {one.name: one for one in await grafana.check(made)}

    return run


async def test_every_query_of_every_dashboard_runs_with_its_variables_substituted(
    check: Check,
) -> None:
    sent: list[dict[str, Any]] = []

    def record(body: Any) -> Answer:
        assert body["from"].startswith("now-")
        sent.extend(body["queries"])
        return found(body)

    results = await check(answers(record))
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


async def test_a_failed_query_names_its_panel_and_the_error(check: Check) -> None:
    title = grafana_dashboards.targets("elasticsearch")[0].panel["title"]

    def refuse(body: Any) -> Answer:
        (asked,) = body["queries"]
        if asked["datasource"]["type"] == "elasticsearch":
            failure = {"error": "unexpected status code 401", "status": 400}
            return 400, {"results": {asked["refId"]: failure}}
        return found(body)

    results = await check(answers(refuse))
    wrong = [one for one in results.values() if one.state == "failed"]
    lines = [line for one in wrong for line in one.details]
    assert any(re.fullmatch(rf"{title} \(.*\): unexpected status code 401", line) for line in lines)
    assert results["dashboard host"].state == "ok"


@pytest.mark.parametrize("empty", [EMPTY, NAN], ids=["no series", "NaN"])
async def test_each_empty_panel_is_named_unless_it_says_why_it_may_be_empty(
    check: Check, empty: dict[str, Any]
) -> None:
    given = answers(answering(lambda _: empty))
    results = await check(given, exporter=EXPORTER)
    for name, dashboard in COMMITTED.items():
        found = results[f"dashboard {name}"]
        drawn = [panel for panel in grafana_dashboards.panels(dashboard) if "targets" in panel]
        without_text = [
            panel["title"]
            for panel in drawn
            if not panel.get("fieldConfig", {}).get("defaults", {}).get("noValue")
        ]
        assert [line.partition(" (")[0] for line in found.details] == without_text
        assert all(line.endswith("): no data") for line in found.details)
        assert found.state == ("failed" if without_text else "ok")
    assert results["dashboard runbooks"].text == "0 panels, 0 with data"


async def test_a_panel_with_data_in_one_of_its_queries_is_not_empty(check: Check) -> None:
    first_only = answering(lambda asked: FRAMES if asked["refId"] == "A" else EMPTY)
    results = await check(answers(first_only))
    assert {one.state for one in results.values()} == {"ok"}


@pytest.mark.parametrize(
    ("without", "names"),
    [
        ({"autoscaler": {"enabled": False}}, ["Decisions by reason", "Replicas desired"]),
        ({"telemetry": {"tracing": "off"}}, ["Duration of each step, p95"]),
        ({"exporter": {"logstash_url": ""}}, ["Logstash queue", "Cluster status"]),
        (
            {"replicas": {"command": ["my-service", "{port}"]}},
            ["Rows per second", "Time in a slot"],
        ),
        ({"verify": {"path": "/shop"}}, ["Rows per second", "Time in a slot"]),
    ],
)
async def test_panels_of_what_is_switched_off_may_be_empty(
    check: Check, without: dict[str, Any], names: list[str]
) -> None:
    sections = {"exporter": EXPORTER, **without}
    with_all = await check(answers(nothing), exporter=EXPORTER)
    results = await check(answers(nothing), **sections)
    for name in names:
        assert f"{name} (" in str([one.details for one in with_all.values() if one.state != "ok"])
        assert f"{name} (" not in str([o.details for o in results.values() if o.state != "ok"])


async def test_drift_may_be_empty_with_a_model_without_statistics_of_training_rows(
    check: Check,
) -> None:
    def drift_only(asked: dict[str, Any]) -> Any:
        return EMPTY if "model:feature_psi" in asked.get("expr", "") else FRAMES

    given = answers(answering(drift_only))
    found = (await check(given))["dashboard model"]
    assert found.details == (
        "Largest feature drift (Drift): no data",
        "Feature drift (Drift): no data",
    )
    given[FEATURES] = (200, {"status": "success", "data": []})
    found = (await check(given))["dashboard model"]
    assert found.state == "ok"
    assert "Feature drift (Drift): no data, the model has no statistics" in found.details[1]


async def test_a_dashboard_without_any_data_fails_with_an_own_application_too(check: Check) -> None:
    own = {"verify": {"path": "/shop"}}
    found = (await check(answers(nothing), **own))["dashboard host"]
    assert (found.state, found.text) == ("failed", "14 panels, none with data")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (namespaces("other"), "the variable Namespace offers other, and not default"),
        (
            {"responses": [{"status": 200}]},
            "the variable Namespace offers nothing, and not default",
        ),
        # The status of a multi-search is 200 even if a search fails.
        (
            {
                "responses": [
                    {"error": {"reason": "no such index", "root_cause": []}, "status": 404}
                ]
            },
            "the variable Namespace: no such index",
        ),
    ],
)
async def test_the_variable_must_offer_the_namespace(
    check: Check, answer: dict[str, Any], text: str
) -> None:
    given = answers(found) | {NAMESPACES: (200, answer)}
    results = await check(given)
    service = results["dashboard service"]
    assert text in (service.text, *service.details)
    assert results["dashboard host"].state == "ok"


async def test_a_missing_dashboard_is_named(check: Check) -> None:
    given = answers(found)
    del given["GET /api/dashboards/uid/tidegate-host"]
    results = await check(given)
    assert "responded with status 404: Not Found" in results["dashboard host"].text


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
