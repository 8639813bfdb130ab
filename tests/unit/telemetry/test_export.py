"""Kept spans at a real OTLP endpoint: an HTTP server that decodes what the exporter sends."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
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

from support.ports import free_port
from tidegate.events.event import Origin
from tidegate.settings import SettingsError
from tidegate.telemetry import instrumentation, span
from tidegate.telemetry.export import span_event

from .conftest import Bench


class Collector:
    """An OTLP endpoint that keeps what it gets, and can be told to refuse."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []
        self.refused: list[ExportTraceServiceRequest] = []
        self.status = 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                request = ExportTraceServiceRequest.FromString(body)
                if collector.status == 200:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    collector.requests.append((self.path, headers, request))
                else:
                    collector.refused.append(request)
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
        return spans_of(request for _, _, request in self.requests)

    def resource(self) -> dict[str, str]:
        held = self.requests[0][2].resource_spans[0].resource.attributes
        return {one.key: one.value.string_value for one in held}

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def spans_of(requests: Iterable[ExportTraceServiceRequest]) -> list[Any]:
    return [
        span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    # It is there, so an app's end may wait for it, and on a busy machine has to.
    monkeypatch.setattr(instrumentation, "FLUSH_SECONDS", 60)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
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
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")  # all in one request, at the end
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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK sends each 5 s; tests need not wait for that."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")


def told(bench: Bench) -> list[str]:
    return [e["message"] for e in bench.events("app") if "OTLP" in e["message"]]


@pytest.mark.usefixtures("impatient")
async def test_a_dead_endpoint_neither_fails_requests_nor_floods_the_logs_nor_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    app = make_app(bench)
    telemetry = bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        for _ in range(200):  # far more spans than the queue holds
            assert (await client.get("/200")).status_code == 200
        wait_for(lambda: told(bench))
        for _ in range(50):
            await client.get("/200")
    assert told(bench) == ["the OTLP endpoint takes no spans; they are dropped until it does"]
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert len(bench.events("request")) == 250
    assert len(bench.events("span")) == 500
    assert telemetry._otlp is not None
    assert not telemetry._otlp.force_flush(), "it is known to be dead"


@pytest.mark.usefixtures("impatient")
async def test_an_endpoint_that_comes_back_is_told_once(
    bench: Bench, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    collector.status = 400
    app = make_app(bench)
    bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        for count in (2, 4):  # of spans, which may come one by one
            await client.get("/200")
            wait_for(lambda: len(spans_of(collector.refused)) == count)  # noqa: B023  waited for here
            wait_for(lambda: told(bench))
        collector.status = 200
        for count in (2, 4):
            await client.get("/200")
            wait_for(lambda: len(collector.spans()) == count)  # noqa: B023  waited for here
            wait_for(lambda: len(told(bench)) == 2)
    assert told(bench) == [
        "the OTLP endpoint takes no spans; they are dropped until it does",
        "the OTLP endpoint takes spans again",
    ]


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """An endpoint that takes connections and never answers; the exporter waits a minute for it."""
    monkeypatch.setattr(instrumentation, "FLUSH_SECONDS", 0.2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(20)
        port = made.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        yield made


def still_waits(connection: socket.socket) -> bool:
    """Whether whoever sent a request on it has not given up."""
    connection.setblocking(False)
    try:
        while connection.recv(65_536):
            pass
    except BlockingIOError:
        return True
    return False


@pytest.mark.usefixtures("impatient")
async def test_neither_a_request_nor_the_end_of_an_app_waits_for_an_endpoint_that_does_not_answer(
    bench: Bench, deaf: socket.socket
) -> None:
    app = make_app(bench)
    telemetry = bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        await client.get("/200")
        connection, _ = deaf.accept()
        with connection:
            for _ in range(50):  # far more spans than the queue holds
                assert (await client.get("/200")).status_code == 200
            assert still_waits(connection)
            telemetry.close()
            assert still_waits(connection)
            deaf.close()  # a second try would be taken as well, and wait as long
    assert telemetry._otlp is not None
    telemetry._otlp.shutdown()  # it would try again for the rest of its minute


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
