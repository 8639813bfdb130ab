"""Each search and panel of Kibana, sent to a real Elasticsearch as Kibana sends it.

What creates the events is real: an instrumented app, the gateway's access log, the autoscaler's event log and
the exporter. The expected events of each query are selected in Python, independently of the query.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import httpx
import pytest
from elasticsearch import Elasticsearch
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from support.harnesses.event_files import events_in
from support.panels.kibana_dashboards import Panel, dashboards
from support.panels.lens_search import has_data, rows, search_body
from tidegate.autoscaler.decision_event import record_decision
from tidegate.autoscaler.types import Decision, Signals
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
from tidegate.runtime.event_log import EventLog
from tidegate.settings import Settings
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


def access(settings: Settings) -> list[Event]:
    """Access events of HAProxy's lines: two requests get a 503, one has too large a body."""
    now = time.time_ns() // 1000
    trace = f"00-{uuid.uuid4().hex}-00f067aa0ba902b7-01"
    ends = [(503, trace, None, "sQ--"), (503, trace, None, "SC--"), (413, "-", "too large", "PR--")]
    constant = constant_fields(settings, ACCESS)
    return [
        json.loads(access_event(json.dumps(line).encode(), constant) or b"")
        for status, sent, why, state in ends
        for line in [
            [
                ACCESS,
                now,
                now - 200,
                status,
                "POST",
                "/predict",
                sent,
                "-",
                why,
                *(0, -1, -1, -1),
                "none",
                "0",
                state,
            ]
        ]
    ]


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

    def ask(self, panel: Panel, **chosen: str) -> dict[str, Any]:
        """What `tidegate verify` asks for a panel, of this scenario's events with the chosen values only."""
        body = search_body(panel, "now-24h")
        chosen["data_stream.namespace"] = self.namespace
        body["query"]["bool"]["filter"] += [{"term": {name: one}} for name, one in chosen.items()]
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
    settings = Settings.model_validate(
        {
            "service": {"namespace": namespace},
            "telemetry": {"sample_ratio": 1},
            "stack": {"data_dir": folder},
            "store": {"elasticsearch": {"url": elasticsearch_url}},
        }
    )
    origin = Origin("flights", "1.2.3", "local", "autoscaler", namespace)
    requests(settings)
    decisions(settings, origin)
    events = [*access(settings), *alerts(origin), *events_in(settings.log_dir)]
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


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.id)
def test_a_chosen_service_narrows_each_panel(scenario: Scenario, panel: Panel) -> None:
    own = scenario.ask(panel, **{"service.name": "flights"})
    assert rows(panel, own) == rows(panel, scenario.ask(panel))
    assert not has_data(panel, scenario.ask(panel, **{"service.name": "another"}))


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
