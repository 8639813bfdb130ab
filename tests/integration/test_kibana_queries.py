"""Each search and panel of Kibana's, asked of a real Elasticsearch as Kibana asks it.

The events are made by what makes them in a stack: an instrumented app, HAProxy, the autoscaler's event
log and the exporter. What a query must find is said in Python, apart from the query.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import httpx
import pytest
from elasticsearch import Elasticsearch
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from support.ports import free_port, free_ports
from support.running_stack import eventually
from tidegate.autoscaler.decision_event import record_decision
from tidegate.autoscaler.types import Decision, Signals
from tidegate.events.event import Event, Origin
from tidegate.events.writer import EventWriter
from tidegate.exporter.alerts import Alert, alert_event
from tidegate.runtime.event_log import EventLog
from tidegate.settings import Settings
from tidegate.stack.gateway import configuration, haproxy
from tidegate.store.elasticsearch.store import ElasticsearchStore
from tidegate.telemetry import annotate, get_logger, instrument
from tools.generate.kibana.columns import TopValues
from tools.generate.kibana.dashboard import OVERVIEW
from tools.generate.kibana.data_views import DATA_VIEWS, EVENTS
from tools.generate.kibana.links import trace_path
from tools.generate.kibana.panels import LAYER, LensPanel
from tools.generate.kibana.searches import Search, searches

pytestmark = pytest.mark.integration
LENSES: Final = [panel for panel in OVERVIEW.panels if isinstance(panel, LensPanel)]
SEARCHES: Final = {search.id: search for search in searches(Settings())}
OBJECTIVE_NS: Final = 500_000_000


async def predict(request: Request) -> PlainTextResponse:
    annotate(work="heavy", rows=256, queue_ns=1_000_000)
    if request.path_params["how"] == "badly":
        get_logger("shop").error("the model is upset")
        raise ValueError("not today")
    return PlainTextResponse("late")


def requests(settings: Settings) -> None:
    """Four that go well, one of them slowly, and two that fail."""
    app = Starlette(routes=[Route("/predict/{how}", predict, methods=["POST"])])
    telemetry = instrument(app, settings)
    arrived = f"t={time.time_ns() // 1000 - 2_000_000}"

    async def send() -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            for how in ("well", "badly", "well", "badly", "well"):
                await client.post(f"/predict/{how}")
            await client.post("/predict/well", headers={"X-Request-Start": arrived})

    with closing(telemetry):
        asyncio.run(send())


def decisions(settings: Settings, origin: Origin) -> None:
    """To three replicas, and back to two."""
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
    """What the gateway writes when no replica comes: two requests get a 503, one is a client's fault."""
    config = configuration.write_config(settings, folder / "gateway", [f"127.0.0.1:{free_port()}"])
    output = folder / "access.ndjson"
    url = f"http://127.0.0.1:{settings.gateway.port}"
    with output.open("wb") as out:
        process = subprocess.Popen(haproxy.argv(config), stdout=out, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/live").status_code == 503  # a probe: it leaves no line
        return False

    try:
        eventually(answers, "the gateway answers")
        trace = {"traceparent": f"00-{uuid.uuid4().hex}-00f067aa0ba902b7-01"}
        for _ in range(2):
            assert httpx.post(f"{url}/predict", headers=trace).status_code == 503
        large = b"x" * (settings.gateway.request_bytes + 1)
        assert httpx.post(f"{url}/predict", content=large).status_code == 413
        eventually(lambda: output.read_bytes().count(b"\n") == 3, "three lines of the access log")
    finally:
        process.terminate()
        process.wait()
    return [json.loads(line) for line in output.read_bytes().splitlines()]


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
class Scene:
    """What happened, and the Elasticsearch that was told; other tests' events are in other namespaces."""

    client: Elasticsearch
    namespace: str
    events: list[Event]

    def ask(self, pattern: str, query: str, **body: Any) -> dict[str, Any]:
        """Search as Kibana does with Lucene: it hands the text on, and leaves an empty one out."""
        text = {"query_string": {"query": query, "analyze_wildcard": True}}
        filters = [{"term": {"data_stream.namespace": self.namespace}}, *([text] if query else [])]
        answer = self.client.search(index=pattern, query={"bool": {"filter": filters}}, **body)
        return dict(answer.body)

    def found(self, pattern: str, query: str) -> set[str]:
        hits = self.ask(pattern, query, size=1000)["hits"]["hits"]
        return {hit["_id"] for hit in hits}

    def expected(self, wanted: Callable[[Event], bool]) -> set[str]:
        return {event["event"]["id"] for event in self.events if wanted(event)}


@pytest.fixture(scope="module")
def scene(elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
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
    events = [*access(settings, folder), *alerts(origin)]
    for path in settings.log_dir.glob("*.ndjson"):
        events += [json.loads(line) for line in path.read_bytes().splitlines()]
    with closing(ElasticsearchStore(settings.store.elasticsearch)) as store:
        assert store.append(events) == []
    with Elasticsearch(elasticsearch_url) as client:
        client.indices.refresh(index=f"*-tidegate.*-{namespace}")
        yield Scene(client, namespace, events)


def dataset(event: Event) -> str:
    return str(event["event"]["dataset"]).removeprefix("tidegate.")


def failed_badly(event: Event) -> bool:
    return int(event["http"]["response"]["status_code"]) >= 500


WANTED: Final[dict[str, Callable[[Event], bool]]] = {
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
    "tidegate-refusals": lambda event: dataset(event) == "access" and failed_badly(event),
}
NUMBERS: Final = {
    "tidegate-errors": 6,  # two requests, what the app logged in them, two at the gateway
    "tidegate-slow-requests": 1,
    "tidegate-scaling": 3,
    "tidegate-drift": 2,
    "tidegate-refusals": 2,
}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=lambda search: search.id)
def test_a_search_finds_what_it_should_and_nothing_else(scene: Scene, search: Search) -> None:
    expected = scene.expected(WANTED[search.id])
    assert scene.found(search.view.pattern, search.query) == expected
    assert len(expected) == NUMBERS.get(search.id, len(expected)) > 0
    assert len(expected) < len(scene.events)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=lambda search: search.id)
def test_each_column_of_a_search_shows_something(scene: Scene, search: Search) -> None:
    answer = scene.ask(
        search.view.pattern,
        search.query,
        size=1000,
        fields=list(search.columns),
        sort=[{"@timestamp": {"order": search.order}}],
    )
    hits = answer["hits"]["hits"]
    times = [hit["sort"][0] for hit in hits]
    assert times == sorted(times, reverse=search.order == "desc")
    assert {name for hit in hits for name in hit.get("fields", {})} == set(search.columns)


def test_a_trace_id_in_the_place_of_the_star_finds_log_lines_and_spans(scene: Scene) -> None:
    (slow,) = (event for event in scene.events if WANTED["tidegate-slow-requests"](event))
    trace_id = slow["trace"]["id"]
    search = SEARCHES["tidegate-one-trace"]
    expected = scene.expected(lambda event: event.get("trace", {}).get("id") == trace_id)
    assert scene.found(search.view.pattern, search.query.replace("*", trace_id)) == expected
    of_trace = [event for event in scene.events if event["event"]["id"] in expected]
    assert {event["data_stream"]["type"] for event in of_trace} == {"logs", "traces"}
    # The link holds the same question; a quoted value means the same in both of Kibana's languages.
    _, _, query = unquote(trace_path(trace_id, EVENTS.id, "7d")).partition("query:'")
    assert scene.found(EVENTS.pattern, query.partition("'")[0]) == expected


def test_each_data_view_sees_events(scene: Scene) -> None:
    seen = {view.id: len(scene.found(view.pattern, "")) for view in DATA_VIEWS}
    assert seen["tidegate-events"] == seen["tidegate-logs"] + seen["tidegate-traces"]
    assert seen["tidegate-events"] == len(scene.events)
    assert all(seen.values())


def columns(panel: LensPanel) -> dict[str, Any]:
    state = panel.content()["embeddableConfig"]["attributes"]["state"]
    return dict(state["datasourceStates"]["formBased"]["layers"][LAYER]["columns"])


def aggregation(column: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """What Lens sends for a column; a count needs nothing, as each bucket knows its own."""
    name, params = column["sourceField"], column["params"]
    match column["operationType"]:
        case "date_histogram":
            return {"date_histogram": {"field": name, "fixed_interval": "30s", "min_doc_count": 1}}
        case "terms":
            by = params["orderBy"]["columnId"]
            order = {
                "count": "_count",
                "percentile": f"{by}.{others[by]['params'].get('percentile')}",
            }
            direction = params["orderDirection"]
            return {
                "terms": {
                    "field": name,
                    "size": params["size"],
                    "order": {order[others[by]["operationType"]]: direction},
                }
            }
        case "percentile":
            return {"percentiles": {"field": name, "percents": [params["percentile"]]}}
        case "max":
            return {"max": {"field": name}}
    raise AssertionError(f"no such operation: {column['operationType']}")


def request_of(panel: LensPanel) -> dict[str, Any]:
    """The aggregations of a panel, groups nested in their order."""
    made = columns(panel)
    measures = {
        name: aggregation(column, made)
        for name, column in made.items()
        if not column["isBucketed"] and column["operationType"] != "count"
    }
    nested = measures
    for name, column in reversed(made.items()):
        if column["isBucketed"]:
            # An order by a measure needs it beside its groups too, as Lens puts it there.
            nested = {name: {**aggregation(column, made), "aggs": {**measures, **nested}}}
    return nested


def rows(panel: LensPanel, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The innermost buckets, each with its keys and its measures by column."""
    made = columns(panel)
    groups = [name for name, column in made.items() if column["isBucketed"]]

    def walk(bucket: dict[str, Any], left: list[str], keys: dict[str, Any]) -> Iterator[Any]:
        if left:
            for inner in bucket[left[0]]["buckets"]:
                yield from walk(inner, left[1:], {**keys, left[0]: inner["key"]})
            return
        row = dict(keys)
        for name, column in made.items():
            match column["operationType"]:
                case "count":
                    row[name] = bucket["doc_count"]
                case "percentile":
                    (row[name],) = bucket[name]["values"].values()
                case "max":
                    row[name] = bucket[name]["value"]
        yield row

    whole = {**answer.get("aggregations", {}), "doc_count": answer["hits"]["total"]["value"]}
    return list(walk(whole, groups, {}))


@pytest.mark.parametrize("panel", LENSES, ids=lambda panel: panel.id)
def test_a_panel_has_something_to_draw(scene: Scene, panel: LensPanel) -> None:
    answer = scene.ask(panel.view.pattern, panel.query, size=0, aggs=request_of(panel) or None)
    drawn = rows(panel, answer)
    assert drawn
    assert all(value is not None for row in drawn for value in row.values())
    assert all(set(row) == set(columns(panel)) for row in drawn)


def drawn(scene: Scene, title: str) -> list[dict[str, Any]]:
    (panel,) = (each for each in LENSES if each.title == title)
    answer = scene.ask(panel.view.pattern, panel.query, size=0, aggs=request_of(panel) or None)
    return rows(panel, answer)


def counts(scene: Scene, title: str) -> dict[str | int, int]:
    found: dict[str | int, int] = {}
    for row in drawn(scene, title):
        found[row["b"]] = found.get(row["b"], 0) + row["n"]
    return found


def test_the_numbers_are_those_of_what_happened(scene: Scene) -> None:
    assert drawn(scene, "Requests") == [{"n": 6}]
    assert drawn(scene, "Failed requests") == [{"n": 2}]
    assert drawn(scene, "Maximum desired replicas") == [{"max": 3.0}]
    (percentile,) = drawn(scene, "Response time, p95")
    assert percentile["p95"] > OBJECTIVE_NS, "one of six took two seconds"


def test_bars_and_tables_count_what_happened(scene: Scene) -> None:
    assert counts(scene, "Requests by outcome") == {"success": 4, "failure": 2}
    assert counts(scene, "Gateway responses by status") == {503: 2, 413: 1}
    assert counts(scene, "Top errors") == {"ValueError": 2}
    assert counts(scene, "Slowest routes") == {"/predict/{how}": 6}
    assert list(counts(scene, "Nodes").values()) == [6]


def test_every_field_can_be_used_as_it_is(scene: Scene) -> None:
    grouped = {
        (panel.view.pattern, column["sourceField"])
        for panel in LENSES
        for column in columns(panel).values()
        if column["operationType"] != "count"
    }
    assert any(isinstance(column, TopValues) for panel in LENSES for column in panel.columns)
    for pattern, name in grouped:
        index = [each.replace("-*", f"-{scene.namespace}") for each in pattern.split(",")]
        known = scene.client.field_caps(index=index, fields=name)["fields"][name]
        assert all(kind["aggregatable"] and kind["searchable"] for kind in known.values())
