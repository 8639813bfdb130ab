"""Every query of Grafana's dashboards returns data from a stack under load."""

from __future__ import annotations

import json
import math
import re
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from support import grafana_dashboards
from support.eventually import eventually
from support.grafana_dashboards import (
    Target,
    dashboards,
    elasticsearch_search,
    fill,
    flatten,
    section,
)
from support.ports import free_port
from support.processes.exporter_process import exporting, logstash
from support.processes.load import constant
from support.processes.running_stack import Stack, running

pytestmark = pytest.mark.e2e

# Long enough for the load and for the slowest rules, which are evaluated every minute.
SHOWN_SECONDS = 240
FEATURE_SERIES = "ml_feature_reference_samples"
# The values of Grafana's built-in variables for this time range, and the default of the window.
VARIABLES = {
    "window": "5m",
    "__rate_interval": "15s",
    "__interval": "15s",
    "__range": f"{SHOWN_SECONDS}s",
    "__range_s": str(SHOWN_SECONDS),
}
# Absent while a feature has drifted.
EXPECTED_ACCURACY = "model:accuracy_expected"
# The stack serves a classifier: tests/integration/prometheus/test_regressor_panels.py has a regressor.
OF_REGRESSORS = {panel["title"] for panel in section(dashboards()["model"], "Regressors")}
QUERIES = [
    target
    for target in grafana_dashboards.targets("prometheus")
    if target.panel["title"] not in OF_REGRESSORS
]
# These depend on several rule groups with their own evaluation times, so they are recorded last.
LATEST_SERIES = (
    "model:feature_psi:5m",
    "model:prediction_psi:5m",
    "model:label_lag_seconds_p50:1h",
)


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, artefact: Path, elasticsearch_url: str
) -> Iterator[Stack]:
    """A stack with an exporter, after load, an invalid request and feedback."""
    folder = tmp_path_factory.mktemp("dashboards")
    with (
        logstash() as logstash_url,
        running(
            folder,
            artefact,
            store={"kind": "elasticsearch", "elasticsearch": {"url": elasticsearch_url}},
            service={"namespace": folder.name.replace("-", "_")},
            device={"simulated": True},
            replicas={"start": 1},
            autoscaler={"tick_seconds": 2},
            telemetry={"sample_ratio": 0.2},
            exporter={"port": free_port(), "logstash_url": logstash_url},
        ) as stack,
        exporting(stack),
    ):
        assert stack.send("/predict", b'{"instances": "none"}').status == 422
        send_feedback(stack, artefact)
        # More than one replica can serve.
        sent = ("--prometheus", stack.prometheus, "--rows", str(artefact / "samples.ndjson"))
        with stack.load(folder, *sent, phases=constant(20, 25)) as load:
            load.summary()
        eventually(
            lambda: stack.query("tidegate_collector_lag_bytes == 0"),
            "every event is in the store",
        )
        for series in LATEST_SERIES:
            eventually(
                partial(stack.query, f"last_over_time({series}[3m])"),
                f"the rules have been evaluated up to {series}",
                seconds=180,
            )
        yield stack


def send_feedback(stack: Stack, artefact: Path) -> None:
    """Send labels for 400 predictions: 75 % of the first half are correct and 25 % of the second, which is a
    detectable change; and a label with a forged prediction id."""
    samples = (artefact / "samples.ndjson").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in samples[:200]]
    outcomes = []
    for half in range(2):
        response = stack.send("/predict", json.dumps({"instances": rows}).encode())
        predictions = response.body["predictions"]
        labels = sorted({each["label"] for each in predictions})
        for number, each in enumerate(predictions):
            other_label = next(label for label in labels if label != each["label"])
            correct = bool(number % 4) == (half == 0)
            label = each["label"] if correct else other_label
            outcomes.append({"prediction_id": each["prediction_id"], "label": label})
    forged = {**outcomes[0], "prediction_id": "x" * len(outcomes[0]["prediction_id"])}
    for part in (outcomes[:200], [*outcomes[200:], forged]):
        response = stack.send("/feedback", json.dumps({"outcomes": part}).encode())
        assert response.body["accepted"] == 200, response


@pytest.fixture(scope="module")
def until() -> float:
    """The end of the time range of all panels: now."""
    return time.time()


def get(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def prometheus(stack: Stack, path: str, **arguments: Any) -> Any:
    return get(f"{stack.prometheus}/api/v1/{path}?{urlencode(arguments, doseq=True)}")["data"]


def variables(stack: Stack) -> dict[str, str]:
    """The values of all variables; Grafana selects the first feature."""
    features = prometheus(stack, "label/feature/values", **{"match[]": FEATURE_SERIES})
    return {**VARIABLES, "feature": features[0]}


def results(stack: Stack, target: Target, until: float) -> list[dict[str, Any]]:
    """The series of a query; those of an instant query have one value."""
    expression = fill(target.query["expr"], variables(stack))
    if target.query["instant"]:
        return list(prometheus(stack, "query", query=expression, time=until)["result"])
    window = {"start": until - SHOWN_SECONDS, "end": until, "step": 5}
    return list(prometheus(stack, "query_range", query=expression, **window)["result"])


def numbers(series: dict[str, Any]) -> list[float]:
    samples = series.get("values") or [series["value"]]
    return [value for _, text in samples if not math.isnan(value := float(text))]


def ids(target: Target) -> str:
    return target.name


@pytest.mark.parametrize("target", QUERIES, ids=ids)
def test_a_prometheus_query_returns_data(stack: Stack, until: float, target: Target) -> None:
    found = results(stack, target, until)
    drawn = [series for series in found if numbers(series)]
    if not drawn and target.query["expr"].startswith(f"last_over_time({EXPECTED_ACCURACY}:"):
        # Its rule records nothing while a feature has drifted.
        limit = stack.settings.drift.psi_warning
        assert stack.query(f"last_over_time(model:feature_psi:5m[1m]) >= {limit}")
        return
    assert drawn, f"no data: {target.query['expr']}"
    if target.panel["type"] == "stat":
        assert len(found) == 1, "one number"
    named = set(re.findall(r"\{\{(\w+)\}\}", target.query["legendFormat"]))
    assert all(named <= set(series["metric"]) for series in drawn)


@pytest.mark.parametrize(
    "target",
    [target for target in grafana_dashboards.targets("prometheus") if target.query.get("exemplar")],
    ids=ids,
)
def test_exemplars_lead_to_logs_and_spans(
    stack: Stack, until: float, elasticsearch_url: str, target: Target
) -> None:
    expression = fill(target.query["expr"], VARIABLES)
    window = {"start": until - SHOWN_SECONDS, "end": until}
    found = prometheus(stack, "query_exemplars", query=expression, **window)
    traces = {each["labels"]["trace_id"] for series in found for each in series["exemplars"]}
    assert traces
    for trace in sorted(traces)[:3]:
        for index in ("logs-tidegate.*-*", "traces-tidegate.*-*"):
            query = {"query_string": {"query": f'trace.id:"{trace}"'}}
            hits = get(f"{elasticsearch_url}/{index}/_search", {"query": query})["hits"]["hits"]
            assert hits, f"{trace} is not in {index}"


def search(stack: Stack, target: Target, until: float, selected: dict[str, str]) -> dict[str, Any]:
    """The response to the search that Grafana sends for a panel."""
    query = {**target.query, "query": fill(target.query["query"], selected)}
    kind = query["datasource"]["uid"].strip("${}")
    body = elasticsearch_search(query, until - SHOWN_SECONDS, until)
    url = stack.settings.store.elasticsearch.url
    return dict(get(f"{url}/{kind}-tidegate.*-*/_search", body))


def has_values(bucket: dict[str, Any], target: Target) -> bool:
    """Whether a line, one term of the first aggregation, has a point; 0 is one, as of a wait."""
    (metric,) = target.query["metrics"]
    points = bucket[target.query["bucketAggs"][1]["id"]]["buckets"]
    if metric["type"] == "count":
        return any(point["doc_count"] for point in points)
    return any(
        each is not None for point in points for each in point[metric["id"]]["values"].values()
    )


@pytest.mark.parametrize("selected", ["all", "one"])
@pytest.mark.parametrize("target", grafana_dashboards.targets("elasticsearch"), ids=ids)
def test_an_elasticsearch_query_finds_events(
    stack: Stack, until: float, target: Target, selected: str
) -> None:
    service = stack.settings.service
    names = {"namespace": service.namespace, "service": service.name}
    chosen = {key: "*" if selected == "all" else f'("{name}")' for key, name in names.items()}
    answer = search(stack, target, until, chosen)
    assert answer["_shards"]["failed"] == 0
    assert answer["hits"]["total"]["value"] > 0, target.query["query"]
    if target.query["bucketAggs"]:
        first = target.query["bucketAggs"][0]["id"]
        lines = answer["aggregations"][first]["buckets"]
        assert lines
        assert all(has_values(line, target) for line in lines)
        return
    columns = {name for hit in answer["hits"]["hits"] for name in flatten(hit["_source"])}
    if target.panel["type"] == "logs":
        assert {"message", "log.level"} <= columns
    for transformation in target.panel.get("transformations", ()):
        if transformation["id"] == "filterFieldsByName":
            assert set(transformation["options"]["include"]["names"]) <= columns


def test_annotations_mark_changes_of_the_number_of_replicas(stack: Stack, until: float) -> None:
    marks = {
        fill(mark["target"]["expr"], VARIABLES)
        for dashboard in grafana_dashboards.dashboards().values()
        for mark in dashboard.get("annotations", {}).get("list", ())
    }
    assert marks
    window = {"start": until - SHOWN_SECONDS, "end": until, "step": 15}
    for expression in marks:
        assert prometheus(stack, "query_range", query=expression, **window)["result"]


def test_the_variables_offer_the_existing_values(stack: Stack, elasticsearch_url: str) -> None:
    for dashboard in grafana_dashboards.dashboards().values():
        for variable in dashboard["templating"]["list"]:
            if variable["query"] == f"label_values({FEATURE_SERIES}, feature)":
                assert (
                    len(prometheus(stack, "label/feature/values", **{"match[]": FEATURE_SERIES}))
                    > 1
                )
            elif variable["type"] == "query":
                query = json.loads(variable["query"])
                terms = {query["find"]: {"field": query["field"]}}
                url = f"{elasticsearch_url}/logs-tidegate.*-*/_search"
                answer = get(url, {"size": 0, "aggs": {"values": terms}})
                offered = {each["key"] for each in answer["aggregations"]["values"]["buckets"]}
                service = stack.settings.service
                own = {"namespace": service.namespace, "service": service.name}
                assert own[variable["name"]] in offered
