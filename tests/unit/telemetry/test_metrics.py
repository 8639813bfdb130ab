from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    make_asgi_app,
)
from prometheus_client.core import Exemplar, GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from support.harnesses.telemetry_harness import Harness
from support.samples.asgi_apps import app_with, ok
from tidegate.autoscaler.histograms import histogram_quantile
from tidegate.settings import Settings
from tidegate.telemetry import TelemetryMiddleware, duration_edges, shared_metrics
from tidegate.telemetry.metrics import RequestMetrics
from tidegate.telemetry.shared_metrics import merged

OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0; charset=utf-8"}


@given(st.floats(0.001, 120, allow_nan=False))
def test_the_bucket_bounds_increase_and_include_the_objective(objective: float) -> None:
    edges = duration_edges(objective)
    assert objective in edges
    assert list(edges) == sorted(set(edges))
    assert {0.005, 10.0, 60.0} <= set(edges)


@pytest.mark.parametrize("seconds", [1.2, 3.0, 9.0, 38.3, 60.0, 90.0])
def test_a_quantile_of_slow_requests_is_right_within_a_third(seconds: float) -> None:
    edges = duration_edges(0.5)
    cumulative = [20.0 * (seconds <= edge) for edge in edges] + [20.0]
    found = histogram_quantile(0.95, edges, cumulative)
    assert found is not None
    assert 0.95 * seconds <= found <= 4 / 3 * seconds


async def read(harness: Harness, app: Any, **headers: str) -> Any:
    """The response at /metrics."""
    async with harness.client(app) as client:
        response = await client.get("/metrics", headers=headers)
    assert response.status_code == 200
    return response


def samples(text: str, name: str, parse: Any = classic) -> list[Any]:
    return [sample for family in parse(text) for sample in family.samples if sample.name == name]


def values(text: str, name: str, parse: Any = classic) -> list[float]:
    return [sample.value for sample in samples(text, name, parse)]


async def test_requests_are_counted_by_route_method_and_status(harness: Harness) -> None:
    async def item(request: Request) -> Response:
        harness.clock.advance_ms(30)
        return Response(status_code=int(request.path_params["status"]))

    app = Starlette(routes=[Route("/items/{status}", item)])
    harness.instrument(app)
    async with harness.client(app) as client:
        for path in ("/items/200", "/items/201", "/items/200", "/nowhere"):
            await client.get(path)
        await client.request("BREW", "/items/200")
    text = (await read(harness, app)).text
    counts = samples(text, "http_server_request_duration_seconds_count")
    names = ("http_route", "http_request_method", "http_response_status_code")
    assert {tuple(s.labels[name] for name in names): s.value for s in counts} == {
        ("/items/{status}", "GET", "200"): 2,
        ("/items/{status}", "GET", "201"): 1,
        ("", "GET", "404"): 1,
        ("/items/{status}", "_OTHER", "405"): 1,
    }
    buckets = samples(text, "http_server_request_duration_seconds_bucket")
    edges = {float(s.labels["le"]) for s in buckets}
    assert edges == {*duration_edges(0.5), float("inf")}


async def test_a_client_of_openmetrics_gets_exemplars_of_sampled_traces(harness: Harness) -> None:
    async def item(request: Request) -> Response:
        harness.clock.advance_ms(int(request.path_params["ms"]))
        return Response()

    app = Starlette(routes=[Route("/{ms}", item)])
    harness.instrument(app, sample_ratio=0)
    async with harness.client(app) as client:
        await client.get("/20")
        await client.get("/700")
    response = await read(harness, app, **OPENMETRICS)
    assert response.headers["content-type"].startswith("application/openmetrics-text; version=1")
    buckets = samples(response.text, "http_server_request_duration_seconds_bucket", openmetrics)
    (slow,) = (sample for sample in buckets if sample.exemplar)
    event = harness.events("request")[1]
    ids = {"trace_id": event["trace"]["id"], "span_id": event["span"]["id"]}
    assert (slow.labels["le"], slow.exemplar.labels) == ("0.75", ids)
    assert slow.exemplar.value == pytest.approx(0.7)


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "text/html", "text/plain;version=0.0.4", "application/openmetrics-text;version=x"],
)
async def test_other_clients_get_the_text_format(harness: Harness, accept: str) -> None:
    app = app_with(ok)
    harness.instrument(app, sample_ratio=1)
    async with harness.client(app) as client:
        await client.get("/")
    response = await read(harness, app, accept=accept)
    assert response.headers["content-type"].startswith("text/plain")
    assert "# EOF" not in response.text
    assert "trace_id" not in response.text
    assert list(classic(response.text))


async def test_the_metrics_include_those_of_the_process_and_of_the_app(harness: Harness) -> None:
    app = FastAPI()
    telemetry = harness.instrument(app)
    Counter("cakes", "Cakes baked.", registry=telemetry.registry).inc(3)
    telemetry.writer.lost = 7
    text = (await read(harness, app)).text
    for name in ("process_cpu_seconds_total", "python_info", "python_gc_collections_total"):
        assert samples(text, name)
    assert values(text, "cakes_total") == [3]
    assert values(text, "tidegate_events_lost_total") == [7]
    assert f'tidegate_replica_info{{node="{telemetry.origin.node}"}} 1' in text


def own_metrics(registry: CollectorRegistry, kind: str) -> Any:
    """An application with a `GET /metrics` of its own, in one of the ways in which people write it."""
    app = FastAPI()

    def by_hand(request: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain")

    if kind == "mounted":
        app.mount("/metrics", make_asgi_app(registry))
    elif kind == "included":
        router = APIRouter()
        router.add_api_route("/metrics", by_hand)
        app.include_router(router)
    else:
        app.router.routes.append(Route("/metrics", by_hand))
    return app


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("kind", ["mounted", "included", "route"])
async def test_the_metrics_of_the_app_itself_are_kept_and_ours_are_added(
    harness: Harness, caplog: pytest.LogCaptureFixture, kind: str, *, wrapped: bool
) -> None:
    registry = CollectorRegistry()
    Counter("cakes", "Cakes baked.", registry=registry).inc(3)
    name = "http_server_request_duration_seconds"
    theirs = Histogram(name, "Of OpenTelemetry.", ["http_scheme"], registry=registry)
    theirs.labels("http").observe(1)
    app = own_metrics(registry, kind)
    served: Any = app
    if wrapped:
        served = TelemetryMiddleware(app, harness.telemetry())
    else:
        harness.instrument(app)
    async with harness.client(served) as client:
        await client.get("/nowhere")
    for accept in ("*/*", OPENMETRICS["accept"]):
        response = await read(harness, served, accept=accept)
        is_open = response.headers["content-type"].startswith("application/openmetrics-text")
        assert is_open == (kind == "mounted" and accept != "*/*")
        parse = openmetrics if is_open else classic
        assert values(response.text, "cakes_total", parse) == [3]
        assert samples(response.text, "process_cpu_seconds_total", parse)
        # Ours has the labels and the buckets that the rules query.
        (ours,) = samples(response.text, f"{name}_count", parse)
        assert {*ours.labels} == {"http_route", "http_request_method", "http_response_status_code"}
        assert response.text.count(f"# TYPE {name} ") == 1
        assert response.text.count("http_scheme") == 0
    assert caplog.text.count("a GET /metrics of its own") == 1
    assert f"Tidegate has them too: {name}\n" in caplog.text


def test_of_a_metric_that_is_written_without_comments_ours_is_kept_too() -> None:
    # A label's value may have a carriage return.
    theirs = b'cakes 3\nmine_count{a="\r b"} 1\nmine_bucket{le="+Inf"} 1\nmine_other 2'
    ours = b"# TYPE mine histogram\nmine_count 7\n# EOF\n"
    assert merged(theirs, ours) == (b"cakes 3\nmine_other 2\n" + ours, ["mine"])


@pytest.mark.parametrize("fault", ["raises", "hangs", "never ends"])
async def test_metrics_of_the_app_that_fail_leave_ours(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    monkeypatch.setattr(shared_metrics, "ANSWER_SECONDS", 0.01 if fault == "hangs" else 60)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x 1\n" * 2**16

    async def metrics(request: Request) -> Response:
        if fault == "raises":
            raise RuntimeError("on purpose")
        if fault == "hangs":
            await asyncio.Event().wait()
        return StreamingResponse(endless(), media_type="text/plain")

    app = app_with(metrics, "/metrics")
    harness.instrument(app)
    for _ in range(2):
        assert "python_info" in (await read(harness, app)).text
    assert caplog.text.count("own GET /metrics failed") == 1


async def test_an_answer_of_the_app_that_is_no_exposition_is_left_to_all_but_scrapers(
    harness: Harness,
) -> None:
    app = FastAPI()
    harness.instrument(app)

    @app.get("/metrics")
    async def metrics() -> dict[str, int]:
        return {"cakes": 3}

    assert (await read(harness, app)).json() == {"cakes": 3}
    assert "python_info" in (await read(harness, app, **OPENMETRICS)).text


async def test_metrics_are_served_despite_a_catch_all_route_and_below_a_root_path(
    harness: Harness,
) -> None:
    app = FastAPI(routes=[Mount("/", app_with(ok, "/{rest:path}"))])
    harness.instrument(app)
    for path in ("/metrics", "/proxy/metrics"):
        async with harness.client(app, root_path="/proxy") as client:
            assert "python_info" in (await client.get(path)).text
    assert harness.events("request") == []


def test_the_buckets_include_the_objective_of_the_settings() -> None:
    settings = Settings(slo={"latency_seconds": 0.321})
    metrics = RequestMetrics(settings.slo, lambda: 0, lambda: "flights-1")
    metrics.observe("/", "GET", 200, 0.32, None)
    text = generate_latest(metrics.registry).decode()
    buckets = samples(text, "http_server_request_duration_seconds_bucket")
    assert "0.321" in {sample.labels["le"] for sample in buckets}


@pytest.fixture
def orders() -> Iterator[Counter]:
    counter = Counter("orders", "Orders, in the default registry.")
    yield counter
    REGISTRY.unregister(counter)


async def test_the_metrics_of_the_default_registry_are_exposed_once(
    harness: Harness, orders: Counter
) -> None:
    orders.inc(3)
    app = app_with(ok)
    harness.instrument(app)
    for parse, headers in ((classic, {}), (openmetrics, OPENMETRICS)):
        text = (await read(harness, app, **headers)).text
        assert values(text, "orders_total", parse) == [3]
        assert len(values(text, "process_start_time_seconds", parse)) == 1
        assert len(samples(text, "python_info", parse)) == 1


async def test_where_the_app_serves_its_metrics_itself_they_are_its_own(
    harness: Harness, orders: Counter
) -> None:
    app = Starlette(routes=[Mount("/metrics", make_asgi_app(CollectorRegistry()))])
    harness.instrument(app)
    orders.inc()
    assert values((await read(harness, app)).text, "orders_total") == []


def unreachable() -> Iterator[Any]:
    raise ConnectionError("no database")


def numbered() -> Iterator[Any]:
    found = GaugeMetricFamily("stock", "By the number of the shop.", labels=("shop",))
    found.add_metric([7], 1)  # type: ignore[list-item]
    yield found


def misplaced() -> Iterator[Any]:
    found = GaugeMetricFamily("stock", "With what only OpenMetrics refuses.")
    found.add_sample("stock", {}, 1, exemplar=Exemplar({}, 1))
    yield found


@pytest.mark.parametrize(
    ("collect", "reason"),
    [
        (unreachable, "no database"),
        (numbered, "'int' object has no attribute 'replace'"),
        (misplaced, "has exemplars"),
        (lambda: iter([None]), "'NoneType' object has no attribute 'name'"),
    ],
    ids=["raises", "a label is a number", "exemplar", "no metric"],
)
async def test_a_default_registry_that_fails_costs_no_other_metric(
    harness: Harness, collect: Callable[[], Iterator[Any]], reason: str
) -> None:
    class Failing(Collector):
        def collect(self) -> Iterator[Any]:
            return collect()

        def describe(self) -> Iterator[Any]:
            return iter(())

    failing = Failing()
    REGISTRY.register(failing)
    try:
        app = app_with(ok)
        harness.instrument(app)
        texts = [(await read(harness, app, **headers)).text for headers in ({}, {}, OPENMETRICS)]
    finally:
        REGISTRY.unregister(failing)
    assert all("tidegate_replica_info{" in text for text in texts)
    (message,) = (event["message"] for event in harness.events("app"))
    assert message.startswith("the metrics of prometheus_client's default registry are left out")
    assert reason in message
