"""Each search and panel of Kibana, sent to a real Elasticsearch as Kibana sends it.

The real components create the events: an instrumented app, HAProxy, the autoscaler's event log and the
exporter. The expected events of each query are selected in Python, independently of the query.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import aiohttp
import httpx
import pytest
from elasticsearch import Elasticsearch
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from support.eventually import eventually
from support.harnesses.event_files import events_in
from support.ports import free_port, free_ports
from tidegate.autoscaler.decision_event import record_decision
from tidegate.autoscaler.types import Decision, Signals
from tidegate.checks.running import kibana_panels
from tidegate.checks.running.lens_search import has_data, rows, search_body
from tidegate.checks.running.target import Target
from tidegate.events.event import Event, Origin
from tidegate.events.writer import EventWriter
from tidegate.exporter.alerts import Alert, alert_event
from tidegate.observability_files.kibana import (
    SavedSearch,
    data_views,
    saved_objects,
    saved_searches,
    trace_path,
)
from tidegate.observability_files.kibana_dashboards import Panel, dashboards
from tidegate.runtime.check_results import Result
from tidegate.runtime.event_log import EventLog
from tidegate.settings import Settings
from tidegate.stack.gateway import configuration, haproxy
from tidegate.stack.gateway.access_log import ACCESS, access_event, constant_fields
from tidegate.store.elasticsearch.store import ElasticsearchStore
from tidegate.telemetry import annotate, get_logger, instrument

pytestmark = pytest.mark.integration
PANELS: Final = [panel for each in dashboards(Settings()) for panel in each.panels]
SEARCHES: Final = {search.id: search for search in saved_searches(Settings())}
VIEWS: Final = {view.id: view for view in data_views(Settings())}
OBJECTIVE_NS: Final = 500_000_000


async def predict(request: Request) -> PlainTextResponse:
    annotate(work="heavy", rows=256, queue_ns=1_000_000)
    if request.path_params["outcome"] == "failure":
        get_logger("shop").error("the model failed")
        raise ValueError("the model failed")
    return PlainTextResponse("late")


def requests(settings: Settings) -> None:
    """Four successful requests, one of them slow, and two failed ones."""
    app = Starlette(routes=[Route("/predict/{outcome}", predict, methods=["POST"])])
    telemetry = instrument(app, settings)
    arrived = f"t={time.time_ns() // 1000 - 2_000_000}"

    async def send() -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            for outcome in ("success", "failure", "success", "failure", "success"):
                await client.post(f"/predict/{outcome}")
            await client.post("/predict/success", headers={"X-Request-Start": arrived})

    with closing(telemetry):
        asyncio.run(send())


def decisions(settings: Settings, origin: Origin) -> None:
    """Decisions for three replicas and then for two."""
    writer = EventWriter(settings.log_dir, "autoscaler")
    with closing(writer):
        event_log = EventLog(writer, origin)
        for before, after in ((1, 3), (3, 3), (3, 2)):
            signals = Signals(
                arrival_rate=5.0,
                service_seconds=0.1,
                in_system=2.0,
                slots_per_replica=2,
                ready=before,
                running=before,
                desired=before,
                latency_seconds=0.2,
                age_seconds=1.0,
            )
            decision = Decision(after, "up", "because", {}, {})
            record_decision(event_log, decision, policy="hpa", state={}, signals=signals, now=1.0)


def access(settings: Settings, folder: Path) -> list[Event]:
    """Access events of a gateway without replicas: two requests get a 503, one has too large a body."""
    config = configuration.write_config(settings, folder / "gateway", [f"127.0.0.1:{free_port()}"])
    output = folder / "access.ndjson"
    url = f"http://127.0.0.1:{settings.gateway.port}"
    with output.open("wb") as out:
        process = subprocess.Popen(haproxy.argv(config), stdout=out, stderr=subprocess.DEVNULL)

    def is_up() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/live").status_code == 503  # a probe has no access event
        return False

    try:
        eventually(is_up, "the gateway answers")
        trace = {"traceparent": f"00-{uuid.uuid4().hex}-00f067aa0ba902b7-01"}
        for _ in range(2):
            assert httpx.post(f"{url}/predict", headers=trace).status_code == 503
        large = b"x" * (settings.gateway.request_bytes + 1)
        assert httpx.post(f"{url}/predict", content=large).status_code == 413
        eventually(lambda: output.read_bytes().count(b"\n") == 3, "three lines of the access log")
    finally:
        process.terminate()
        process.wait()
    constant = constant_fields(settings, ACCESS)
    lines = output.read_bytes().splitlines()
    return [json.loads(access_event(line, constant) or b"") for line in lines]


def alerts(origin: Origin) -> list[Event]:
    return [
        alert_event(
            Alert.model_validate(
                {
                    "status": "firing",
                    "labels": {"alertname": name, "severity": "warning"},
                    "annotations": {"summary": "look at it"},
                    "startsAt": datetime.now(UTC),
                    "fingerprint": uuid.uuid4().hex,
                }
            ),
            origin,
        )
        for name in ("DriftFeature", "ModelAccuracyLow", "ReplicaDown")
    ]


@dataclass
class Scenario:
    """The stored events and their Elasticsearch; other tests' events are in other namespaces."""

    client: Elasticsearch
    namespace: str
    events: list[Event]

    def search(self, pattern: str, query: str, **body: Any) -> dict[str, Any]:
        """Search as Kibana does with Lucene: it passes the text unchanged, and omits an empty one."""
        text = {"query_string": {"query": query, "analyze_wildcard": True}}
        filters = [{"term": {"data_stream.namespace": self.namespace}}, *([text] if query else [])]
        response = self.client.search(index=pattern, query={"bool": {"filter": filters}}, **body)
        return dict(response.body)

    def ask(self, panel: Panel) -> dict[str, Any]:
        """What `tidegate verify` asks for a panel, of this scenario's events only."""
        body = search_body(panel, "now-24h")
        body["query"]["bool"]["filter"].append({"term": {"data_stream.namespace": self.namespace}})
        return dict(self.client.search(index=panel.view.pattern, **body).body)

    def found(self, pattern: str, query: str) -> set[str]:
        hits = self.search(pattern, query, size=1000)["hits"]["hits"]
        return {hit["_id"] for hit in hits}

    def expected(self, matches: Callable[[Event], bool]) -> set[str]:
        return {event["event"]["id"] for event in self.events if matches(event)}


@pytest.fixture(scope="module")
def scenario(
    elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scenario]:
    folder, namespace = tmp_path_factory.mktemp("kibana"), uuid.uuid4().hex
    port = free_ports(2)
    settings = Settings.model_validate(
        {
            "service": {"namespace": namespace},
            "telemetry": {"sample_ratio": 1},
            "gateway": {"port": port, "metrics_port": port + 1, "queue_seconds": 0.2},
            "stack": {"data_dir": folder},
            "store": {"elasticsearch": {"url": elasticsearch_url}},
        }
    )
    origin = Origin("flights", "1.2.3", "local", "autoscaler", namespace)
    requests(settings)
    decisions(settings, origin)
    events = [*access(settings, folder), *alerts(origin), *events_in(settings.log_dir)]
    with closing(ElasticsearchStore(settings.store.elasticsearch)) as store:
        assert store.append(events) == []
    with Elasticsearch(elasticsearch_url) as client:
        client.indices.refresh(index=f"*-tidegate.*-{namespace}")
        yield Scenario(client, namespace, events)


def dataset(event: Event) -> str:
    return str(event["event"]["dataset"]).removeprefix("tidegate.")


def is_server_error(event: Event) -> bool:
    return int(event["http"]["response"]["status_code"]) >= 500


EXPECTED: Final[dict[str, Callable[[Event], bool]]] = {
    "tidegate-errors": lambda event: (
        event["log"]["level"] == "error" and event["data_stream"]["type"] == "logs"
    ),
    "tidegate-slow-requests": lambda event: (
        dataset(event) == "request" and event["event"]["duration"] > OBJECTIVE_NS
    ),
    "tidegate-one-trace": lambda event: bool(event.get("trace", {}).get("id")),
    "tidegate-scaling": lambda event: dataset(event) == "decision",
    "tidegate-drift": lambda event: (
        dataset(event) == "alerts" and event["tidegate"]["alert"]["name"] != "ReplicaDown"
    ),
    "tidegate-refusals": lambda event: dataset(event) == "access" and is_server_error(event),
}
COUNTS: Final = {
    "tidegate-errors": 6,  # two requests, two log lines of the app, two access events
    "tidegate-slow-requests": 1,
    "tidegate-scaling": 3,
    "tidegate-drift": 2,
    "tidegate-refusals": 2,
}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=lambda search: search.id)
def test_a_search_finds_exactly_the_expected_events(
    scenario: Scenario, search: SavedSearch
) -> None:
    expected = scenario.expected(EXPECTED[search.id])
    assert scenario.found(search.view.pattern, search.query) == expected
    assert len(expected) == COUNTS.get(search.id, len(expected)) > 0
    assert len(expected) < len(scenario.events)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=lambda search: search.id)
def test_each_column_of_a_search_has_values(scenario: Scenario, search: SavedSearch) -> None:
    (shown,) = (one["attributes"] for one in saved_objects(Settings()) if one["id"] == search.id)
    ((_, order),) = shown["sort"]
    answer = scenario.search(
        search.view.pattern,
        search.query,
        size=1000,
        fields=shown["columns"],
        sort=[{"@timestamp": {"order": order}}],
    )
    hits = answer["hits"]["hits"]
    times = [hit["sort"][0] for hit in hits]
    assert times == sorted(times, reverse=order == "desc")
    assert {name for hit in hits for name in hit.get("fields", {})} == set(shown["columns"])


def test_the_search_for_one_trace_finds_log_lines_and_spans(scenario: Scenario) -> None:
    (slow,) = (event for event in scenario.events if EXPECTED["tidegate-slow-requests"](event))
    trace_id = slow["trace"]["id"]
    search = SEARCHES["tidegate-one-trace"]
    expected = scenario.expected(lambda event: event.get("trace", {}).get("id") == trace_id)
    assert scenario.found(search.view.pattern, search.query.replace("*", trace_id)) == expected
    of_trace = [event for event in scenario.events if event["event"]["id"] in expected]
    assert {event["data_stream"]["type"] for event in of_trace} == {"logs", "traces"}
    # The link has the same query; a quoted value has the same meaning in both query languages of Kibana.
    _, _, query = unquote(trace_path(Settings(), trace_id)).partition("query:'")
    assert scenario.found(VIEWS["tidegate-events"].pattern, query.partition("'")[0]) == expected


def test_each_data_view_finds_events(scenario: Scenario) -> None:
    found = {view.id: len(scenario.found(view.pattern, "")) for view in VIEWS.values()}
    assert found["tidegate-events"] == found["tidegate-logs"] + found["tidegate-traces"]
    assert found["tidegate-events"] == len(scenario.events)
    assert all(found.values())


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.id)
def test_a_panel_has_data(scenario: Scenario, panel: Panel) -> None:
    answer = scenario.ask(panel)
    found = rows(panel, answer)
    assert found
    assert has_data(panel, answer)
    if panel.kind == "lens":
        assert all(value is not None for row in found for value in row.values())
        assert all(set(row) == set(panel.columns) for row in found)


def drawn(scenario: Scenario, title: str) -> list[dict[str, Any]]:
    (panel,) = (each for each in PANELS if each.title == title)
    return rows(panel, scenario.ask(panel))


def counts(scenario: Scenario, title: str) -> dict[str | int, int]:
    found: dict[str | int, int] = {}
    for row in drawn(scenario, title):
        found[row["b"]] = found.get(row["b"], 0) + row["n"]
    return found


def test_the_numbers_match_the_events(scenario: Scenario) -> None:
    assert drawn(scenario, "Requests") == [{"n": 6}]
    assert drawn(scenario, "Failed requests") == [{"n": 2}]
    assert drawn(scenario, "Maximum desired replicas") == [{"max": 3.0}]
    (percentile,) = drawn(scenario, "Response time, p95")
    assert percentile["p95"] > OBJECTIVE_NS, "one of six took two seconds"


def test_bars_and_tables_match_the_events(scenario: Scenario) -> None:
    assert counts(scenario, "Requests by outcome") == {"success": 4, "failure": 2}
    assert counts(scenario, "Responses by status") == {200: 4, 503: 2, 413: 1}
    assert counts(scenario, "Top errors") == {"ValueError": 2}
    assert counts(scenario, "Slowest routes") == {"/predict/{outcome}": 6}
    assert list(counts(scenario, "Nodes").values()) == [6]
    found = {hit["_id"] for hit in drawn(scenario, "Errors and their traces")}
    assert found == scenario.expected(EXPECTED["tidegate-errors"])


def test_every_field_is_aggregatable_and_searchable(scenario: Scenario) -> None:
    grouped = {
        (panel.view.pattern, column["sourceField"])
        for panel in PANELS
        for column in panel.columns.values()
        if column["operationType"] != "count"
    }
    assert grouped
    for pattern, name in grouped:
        index = [each.replace("-*", f"-{scenario.namespace}") for each in pattern.split(",")]
        known = scenario.client.field_caps(index=index, fields=name)["fields"][name]
        assert all(kind["aggregatable"] and kind["searchable"] for kind in known.values())


async def verified(
    scenario: Scenario,
    elasticsearch_url: str,
    monkeypatch: pytest.MonkeyPatch,
    **changes: Mapping[str, Any],
) -> Result:
    """What `tidegate verify` says of the panels' data, with changed panels by their id."""
    (dashboard,) = dashboards(Settings())
    own = f"data_stream.namespace:{scenario.namespace}"
    panels = [
        replace(panel, query=f"({panel.query or '*'}) AND {own}", **changes.get(panel.id, {}))
        if "query" not in changes.get(panel.id, {})
        else replace(panel, **changes[panel.id])
        for panel in dashboard.panels
    ]
    changed = replace(dashboard, panels=tuple(panels))
    monkeypatch.setattr(kibana_panels, "dashboards", lambda _: [changed])
    store = {"kind": "elasticsearch", "elasticsearch": {"url": elasticsearch_url}}
    stored = {(one["type"], one["id"]): one for one in saved_objects(Settings())}
    async with aiohttp.ClientSession() as session:
        target = Target(Settings.model_validate({"store": store}), session, "", "", None)
        _, data = await kibana_panels.check(target, target.kibana(), (9, 2), stored)
    return data


async def test_verify_runs_the_query_of_each_panel(
    scenario: Scenario, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await verified(scenario, elasticsearch_url, monkeypatch)
    assert (found.state, found.text) == ("ok", f"{len(PANELS)} panels, {len(PANELS)} with data")


async def test_verify_names_a_panel_whose_query_fails_and_one_without_data(
    scenario: Scenario, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_text = {"sourceField": "message", "operationType": "max", "isBucketed": False, "params": {}}
    found = await verified(
        scenario,
        elasticsearch_url,
        monkeypatch,
        p1={"query": "event.dataset:none"},
        p2={"query": "event.dataset:none"},
        p3={"query": "event.dataset:("},
        p4={"columns": {"max": on_text}},
    )
    assert (found.state, found.text) == ("failed", f"3 of {len(PANELS)} panels fail")
    empty, syntax, field = found.details
    assert empty == "Requests: no data since now-24h"
    assert syntax.startswith("Response time, p95: ")
    assert "Failed to parse query [event.dataset:(]" in syntax
    assert field.startswith("Maximum desired replicas: ")
    assert "[message]" in field
