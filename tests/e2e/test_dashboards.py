"""Every question that Grafana's dashboards ask, put to a stack under load: each has an answer."""

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
from support.exporter_process import exporting, logstash
from support.grafana_dashboards import Target, filled, flat, names
from support.ports import free_port
from support.running_stack import Stack, eventually, running

pytestmark = pytest.mark.e2e

SCENARIO = """
name = "dashboards"
description = "Twenty seconds at twenty-five a second: more than one replica takes."
arrivals = "even"
weights = { light = 1, medium = 1, heavy = 1 }
phases = [{ kind = "constant", seconds = 20, rate = 25 }]
"""
# From before the load until the slowest rules have been evaluated, which is once a minute.
SHOWN_SECONDS = 240
OF_FEATURES = "ml_feature_reference_samples"
# What Grafana fills in when a panel of that length is drawn, and what is chosen at first.
VALUES = {
    "window": "5m",
    "__rate_interval": "15s",
    "__interval": "15s",
    "__range": f"{SHOWN_SECONDS}s",
    "__range_s": str(SHOWN_SECONDS),
}
# Made while an alert is pending or fires; and once a document was refused.
MADE_WHEN_NEEDED = {"ALERTS", "tidegate_elasticsearch_failure_store_documents"}
# Recorded only where no feature has drifted; the rows that are sent are of a later month.
GATED = "model:accuracy_expected"
# What depends on several groups of rules, each evaluated at times of its own, comes last.
LAST = ("model:feature_psi:5m", "model:prediction_psi:5m", "model:label_lag_seconds_p50:1h")


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, artefact: Path, elasticsearch_url: str
) -> Iterator[Stack]:
    """A stack that has just taken load, and refused a request that was none; the exporter beside it."""
    folder = tmp_path_factory.mktemp("dashboards")
    (folder / "scenario.toml").write_text(SCENARIO)
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
        ) as made,
        exporting(made),
    ):
        assert made.send("/predict", b'{"instances": "none"}').status == 422
        tell_the_truth(made, artefact)
        load = made.run(
            *("tidegate.loadgen", "run", str(folder / "scenario.toml")),
            *("--url", made.url, "--prometheus", made.prometheus),
            *("--rows", str(artefact / "samples.ndjson"), "--out", str(folder / "runs")),
        )
        # 98 is a run whose send times were late: on a busy machine that is no fault of the stack.
        assert load.returncode in {0, 98}, load.stdout + load.stderr
        eventually(
            lambda: made.query("tidegate_collector_lag_bytes == 0"),
            "every event is in the store",
        )
        for series in LAST:
            eventually(
                partial(made.query, f"last_over_time({series}[3m])"),
                f"the rules have been evaluated up to {series}",
                seconds=180,
            )
        yield made


def tell_the_truth(stack: Stack, artefact: Path) -> None:
    """Labels for 400 answers: of the first half three of four right, then one of four, a change that is
    found; and one for an answer that was never given."""
    samples = (artefact / "samples.ndjson").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in samples[:200]]
    outcomes = []
    for half in range(2):
        answer = stack.send("/predict", json.dumps({"instances": rows}).encode())
        given = answer.body["predictions"]
        labels = sorted({each["label"] for each in given})
        for number, each in enumerate(given):
            wrong = next(label for label in labels if label != each["label"])
            right = bool(number % 4) == (half == 0)
            label = each["label"] if right else wrong
            outcomes.append({"prediction_id": each["prediction_id"], "label": label})
    forged = {**outcomes[0], "prediction_id": "x" * len(outcomes[0]["prediction_id"])}
    for part in (outcomes[:200], [*outcomes[200:], forged]):
        told = stack.send("/feedback", json.dumps({"outcomes": part}).encode())
        assert told.body["accepted"] == 200, told


@pytest.fixture(scope="module")
def until() -> float:
    """When the time that is shown ends: now, for all panels."""
    return time.time()


def get(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def prometheus(stack: Stack, path: str, **arguments: Any) -> Any:
    return get(f"{stack.prometheus}/api/v1/{path}?{urlencode(arguments, doseq=True)}")["data"]


def chosen(stack: Stack) -> dict[str, str]:
    """The values of all variables; of the features, Grafana takes the first."""
    features = prometheus(stack, "label/feature/values", **{"match[]": OF_FEATURES})
    return {**VALUES, "feature": features[0]}


def results(stack: Stack, target: Target, until: float) -> list[dict[str, Any]]:
    """The series that the panel draws; an instant query's with one value."""
    expression = filled(target.asked["expr"], chosen(stack))
    if target.asked["instant"]:
        return list(prometheus(stack, "query", query=expression, time=until)["result"])
    window = {"start": until - SHOWN_SECONDS, "end": until, "step": 5}
    return list(prometheus(stack, "query_range", query=expression, **window)["result"])


def numbers(series: dict[str, Any]) -> list[float]:
    samples = series.get("values") or [series["value"]]
    return [value for _, text in samples if not math.isnan(value := float(text))]


def ids(target: Target) -> str:
    return target.name


@pytest.mark.parametrize("target", grafana_dashboards.targets("prometheus"), ids=ids)
def test_a_panel_of_numbers_has_some(stack: Stack, until: float, target: Target) -> None:
    found = results(stack, target, until)
    drawn = [series for series in found if numbers(series)]
    if not drawn and target.asked["expr"].startswith(f"last_over_time({GATED}:"):
        # By its rule: a confidence that was calibrated on other data means nothing.
        limit = stack.settings.drift.psi_warning
        assert stack.query(f"last_over_time(model:feature_psi:5m[1m]) >= {limit}")
        return
    assert drawn, f"no data: {target.asked['expr']}"
    if target.panel["type"] == "stat":
        assert len(found) == 1, "one number"
    named = set(re.findall(r"\{\{(\w+)\}\}", target.asked["legendFormat"]))
    assert all(named <= set(series["metric"]) for series in drawn)


@pytest.mark.parametrize("target", grafana_dashboards.targets("prometheus"), ids=ids)
def test_prometheus_knows_every_metric_and_label(stack: Stack, target: Target) -> None:
    found = names(filled(target.asked["expr"], chosen(stack)))
    known: set[str] = set()
    for metric, selected in found.selected.items():
        if metric not in MADE_WHEN_NEEDED and not metric.startswith(f"{GATED}:"):
            series = prometheus(stack, "series", **{"match[]": metric})
            assert series, f"Prometheus knows no {metric}"
            labels = {label for each in series for label in each}
            assert selected <= labels
            known |= labels
    assert found.grouped <= known


@pytest.mark.parametrize(
    "target",
    [target for target in grafana_dashboards.targets("prometheus") if target.asked.get("exemplar")],
    ids=ids,
)
def test_a_panel_with_exemplars_leads_to_traces(
    stack: Stack, until: float, elasticsearch_url: str, target: Target
) -> None:
    expression = filled(target.asked["expr"], VALUES)
    window = {"start": until - SHOWN_SECONDS, "end": until}
    found = prometheus(stack, "query_exemplars", query=expression, **window)
    traces = {each["labels"]["trace_id"] for series in found for each in series["exemplars"]}
    assert traces
    for trace in sorted(traces)[:3]:
        for index in ("logs-tidegate.*-*", "traces-tidegate.*-*"):
            query = {"query_string": {"query": f'trace.id:"{trace}"'}}
            hits = get(f"{elasticsearch_url}/{index}/_search", {"query": query})["hits"]["hits"]
            assert hits, f"{trace} is not in {index}"


def search(stack: Stack, target: Target, until: float, namespace: str) -> dict[str, Any]:
    """The answer to what Grafana sends for a panel."""
    asked = target.asked
    kind = asked["datasource"]["uid"].strip("${}")
    window = {"gte": int((until - SHOWN_SECONDS) * 1000), "lte": int(until * 1000)}
    query = filled(asked["query"], {"namespace": namespace})
    body: dict[str, Any] = {
        "size": 0,
        "query": {
            "bool": {
                "filter": [
                    {"range": {asked["timeField"]: {**window, "format": "epoch_millis"}}},
                    {"query_string": {"query": query, "analyze_wildcard": True}},
                ]
            }
        },
    }
    (metric,) = asked["metrics"]
    if metric["type"] in {"logs", "raw_data"}:
        size = metric["settings"].get("limit") or metric["settings"]["size"]
        body |= {"size": int(size), "sort": [{asked["timeField"]: "desc"}]}
    else:
        body["aggs"] = aggregations(asked["bucketAggs"], metric)
    url = stack.settings.store.elasticsearch.url
    return dict(get(f"{url}/{kind}-tidegate.*-*/_search", body))


def aggregations(buckets: list[dict[str, Any]], metric: dict[str, Any]) -> dict[str, Any]:
    """Grafana's aggregations: each in the one before, the metric in the last."""
    if not buckets:
        if metric["type"] == "count":
            return {}
        percents = [float(percent) for percent in metric["settings"]["percents"]]
        return {metric["id"]: {"percentiles": {"field": metric["field"], "percents": percents}}}
    first, *rest = buckets
    settings = first["settings"]
    made: dict[str, Any]
    if first["type"] == "terms":
        made = {"size": int(settings["size"]), "order": {settings["orderBy"]: settings["order"]}}
        made["min_doc_count"] = int(settings["min_doc_count"])
    else:
        made = {"fixed_interval": "5s", "min_doc_count": int(settings["min_doc_count"])}
    within = aggregations(rest, metric)
    return {
        first["id"]: {
            first["type"]: {"field": first["field"], **made},
            **({"aggs": within} if within else {}),
        }
    }


def values(bucket: dict[str, Any], target: Target) -> Iterator[float]:
    """The numbers that are drawn for one value of the first bucket's field."""
    (metric,) = target.asked["metrics"]
    for point in bucket[target.asked["bucketAggs"][1]["id"]]["buckets"]:
        if metric["type"] == "count":
            yield point["doc_count"]
        else:
            yield from (each for each in point[metric["id"]]["values"].values() if each is not None)


@pytest.mark.parametrize("namespaces", ["all", "one"])
@pytest.mark.parametrize("target", grafana_dashboards.targets("elasticsearch"), ids=ids)
def test_a_panel_of_events_finds_some(
    stack: Stack, until: float, target: Target, namespaces: str
) -> None:
    namespace = "*" if namespaces == "all" else f'("{stack.settings.service.namespace}")'
    answer = search(stack, target, until, namespace)
    assert answer["_shards"]["failed"] == 0
    assert answer["hits"]["total"]["value"] > 0, target.asked["query"]
    if target.asked["bucketAggs"]:
        first = target.asked["bucketAggs"][0]["id"]
        lines = answer["aggregations"][first]["buckets"]
        assert lines
        assert all(any(values(line, target)) for line in lines)
        return
    columns = {name for hit in answer["hits"]["hits"] for name in flat(hit["_source"])}
    if target.panel["type"] == "logs":
        assert {"message", "log.level"} <= columns
    for transformation in target.panel.get("transformations", ()):
        if transformation["id"] == "filterFieldsByName":
            assert set(transformation["options"]["include"]["names"]) <= columns


def test_the_marks_show_when_the_number_of_replicas_changed(stack: Stack, until: float) -> None:
    marks = {
        filled(mark["target"]["expr"], VALUES)
        for dashboard in grafana_dashboards.dashboards().values()
        for mark in dashboard.get("annotations", {}).get("list", ())
    }
    assert marks
    window = {"start": until - SHOWN_SECONDS, "end": until, "step": 15}
    for expression in marks:
        assert prometheus(stack, "query_range", query=expression, **window)["result"]


def test_the_variables_offer_what_there_is(stack: Stack, elasticsearch_url: str) -> None:
    for dashboard in grafana_dashboards.dashboards().values():
        for variable in dashboard["templating"]["list"]:
            if variable["query"] == f"label_values({OF_FEATURES}, feature)":
                assert (
                    len(prometheus(stack, "label/feature/values", **{"match[]": OF_FEATURES})) > 1
                )
            elif variable["type"] == "query":
                asked = json.loads(variable["query"])
                terms = {asked["find"]: {"field": asked["field"]}}
                url = f"{elasticsearch_url}/logs-tidegate.*-*/_search"
                answer = get(url, {"size": 0, "aggs": {"values": terms}})
                offered = {each["key"] for each in answer["aggregations"]["values"]["buckets"]}
                assert stack.settings.service.namespace in offered
