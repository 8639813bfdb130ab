"""Kept spans at a real OTLP endpoint: an HTTP server that decodes what the exporter sends."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import ReadableSpan
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegate.events import Origin
from tidegate.settings import SettingsError
from tidegate.telemetry import instrumentation, span
from tidegate.telemetry.export import span_event

from .conftest import Bench


class Collector:
    """An OTLP endpoint that keeps what it gets, and can be told to refuse."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []
        self.status = 200
        self.refused = 0
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if collector.status == 200:
                    request = ExportTraceServiceRequest.FromString(body)
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    collector.requests.append((self.path, headers, request))
                else:
                    collector.refused += 1
                self.send_response(collector.status)
                self.end_headers()
                self.wfile.write(ExportTraceServiceResponse().SerializeToString())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def spans(self) -> list[Any]:
        return [
            span
            for _, _, request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def resource(self) -> dict[str, str]:
        held = self.requests[0][2].resource_spans[0].resource.attributes
        return {one.key: one.value.string_value for one in held}

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def make_app(bench: Bench) -> Starlette:
    async def answer(request: Request) -> Response:
        bench.time.pass_ms(10)
        with span("predict", rows=3):
            bench.time.pass_ms(5)
        return Response(status_code=int(request.path_params["status"]))

    return Starlette(routes=[Route("/{status:int}", answer)])


@pytest.mark.parametrize("variable", ["ENDPOINT", "TRACES_ENDPOINT"])
async def test_kept_spans_go_to_the_otlp_endpoint_too(
    bench: Bench, collector: Collector, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    path = "/v1/traces" if variable == "ENDPOINT" else "/elsewhere"
    url = collector.url if variable == "ENDPOINT" else f"{collector.url}{path}"
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{variable}", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=abc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    app = make_app(bench)
    telemetry = bench.instrument(app, sample_ratio=0)
    async with bench.client(app) as client:
        await client.get("/200")
        await client.get("/503")
    telemetry.close()  # sends what is on its way

    (request,) = collector.requests
    assert request[0] == path
    assert request[1]["content-type"] == "application/x-protobuf"
    assert request[1]["x-token"] == "abc"
    events = {event["span"]["id"]: event for event in bench.events("span")}
    sent = {one.span_id.hex(): one for one in collector.spans()}
    assert sent.keys() == events.keys()
    assert {one.name for one in sent.values()} == {"GET /{status:int}", "predict"}
    for span_id, one in sent.items():
        event = events[span_id]
        assert one.trace_id.hex() == event["trace"]["id"]
        assert one.name == event["span"]["name"]
        assert one.end_time_unix_nano - one.start_time_unix_nano == event["event"]["duration"]
        assert one.parent_span_id.hex() == event.get("parent", {"id": ""})["id"]
    assert bench.events("request")[1]["span"]["id"] in sent


async def test_the_resource_follows_the_settings_and_the_standard_variables_win(
    bench: Bench, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=blue,service.version=9")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "other")
    app = make_app(bench)
    telemetry = bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        await client.get("/200")
    telemetry.close()
    resource = collector.resource()
    assert resource["service.name"] == "other"
    assert resource["service.version"] == "9"
    assert resource["team"] == "blue"
    assert resource["service.instance.id"] == "shop-1"
    assert resource["deployment.environment.name"] == "local"
    assert resource["telemetry.sdk.language"] == "python"
    assert bench.event("request")["service"]["name"] == "shop"


async def test_the_instrumentations_spans_go_there_as_well(
    bench: Bench, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    app = make_app(bench)
    telemetry = bench.instrument(app, tracing="opentelemetry")
    async with bench.client(app) as client:
        await client.get("/200")
    telemetry.close()
    assert {one.name for one in collector.spans()} >= {"GET /{status:int}", "predict"}


def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK tries again for 10 s and sends each 5 s; tests need not wait for that."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")


def told(bench: Bench) -> list[str]:
    return [e["message"] for e in bench.events("app") if "OTLP" in e["message"]]


@pytest.mark.usefixtures("impatient")
async def test_a_dead_endpoint_neither_slows_nor_fails_requests_nor_floods_the_logs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    app = make_app(bench)
    telemetry = bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        started = time.monotonic()
        for _ in range(200):  # far more spans than the queue holds
            assert (await client.get("/200")).status_code == 200
        assert time.monotonic() - started < 5
        wait_for(lambda: told(bench))
        for _ in range(50):
            await client.get("/200")
    assert told(bench) == ["the OTLP endpoint takes no spans; they are dropped until it does"]
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert len(bench.events("request")) == 250
    assert len(bench.events("span")) == 500
    started = time.monotonic()
    telemetry.close()
    assert time.monotonic() - started < 3


@pytest.mark.usefixtures("impatient")
async def test_an_endpoint_that_comes_back_is_told_once(
    bench: Bench, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    collector.status = 400
    app = make_app(bench)
    bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        await client.get("/200")
        wait_for(lambda: told(bench))
        await client.get("/200")
        wait_for(lambda: collector.refused >= 2)
        collector.status = 200
        await client.get("/200")
        wait_for(lambda: len(told(bench)) == 2)
        await client.get("/200")
        wait_for(lambda: len(collector.spans()) == 4)
    assert told(bench) == [
        "the OTLP endpoint takes no spans; they are dropped until it does",
        "the OTLP endpoint takes spans again",
    ]


async def test_the_end_of_an_app_waits_for_a_slow_endpoint_only_so_long(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instrumentation, "FLUSH_SECONDS", 0.2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    with socket.socket() as deaf:  # takes connections, never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{deaf.getsockname()[1]}"
        )
        app = make_app(bench)
        telemetry = bench.instrument(app, sample_ratio=1)
        async with bench.client(app) as client:
            await client.get("/200")
        started = time.monotonic()
        telemetry.close()
        assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_BSP_MAX_QUEUE_SIZE", "0"), ("OTEL_BSP_SCHEDULE_DELAY", "-1")]
)
def test_a_variable_that_the_sdk_refuses_stops_the_start_with_its_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="OTEL_BSP"):
        bench.instrument(Starlette())


async def test_what_cannot_be_had_is_told_at_the_start(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    bench.instrument(Starlette())
    assert "OTEL_TRACES_EXPORTER=zipkin" in bench.event("app")["message"]


def test_a_span_without_a_context_is_refused() -> None:
    with pytest.raises(ValueError, match="no context"):
        span_event(Origin("a", "b", "c", "d", "e"), ReadableSpan(name="odd"))
