"""Export of spans to an OTLP endpoint: an HTTP server that decodes the requests of the exporter."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from support.doubles.otlp_collector import OtlpCollector, otlp_collector, spans_of
from support.eventually import eventually
from support.harnesses.telemetry_harness import Harness
from support.ports import free_port
from tidegate.settings import SettingsError
from tidegate.telemetry import span
from tidegate.telemetry import telemetry as telemetry_module


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpCollector]:
    # The endpoint is available, so a shutdown may wait for it, and on a busy machine must.
    monkeypatch.setattr(telemetry_module, "FLUSH_SECONDS", 60)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
    with otlp_collector() as created:
        yield created


def make_app(harness: Harness) -> Starlette:
    async def endpoint(request: Request) -> Response:
        harness.clock.advance_ms(10)
        with span("predict", rows=3):
            harness.clock.advance_ms(5)
        return Response(status_code=int(request.path_params["status"]))

    return Starlette(routes=[Route("/{status:int}", endpoint)])


@pytest.mark.parametrize("variable", ["ENDPOINT", "TRACES_ENDPOINT"])
async def test_sampled_spans_are_also_exported_by_otlp(
    harness: Harness, collector: OtlpCollector, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    path = "/v1/traces" if variable == "ENDPOINT" else "/elsewhere"
    url = collector.url if variable == "ENDPOINT" else f"{collector.url}{path}"
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{variable}", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=abc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")  # all in one request, at the end
    app = make_app(harness)
    telemetry = harness.instrument(app, sample_ratio=0)
    async with harness.client(app) as client:
        await client.get("/200")
        await client.get("/503")
    telemetry.close()  # exports the queued spans

    (request,) = collector.requests
    assert request[0] == path
    expected = {"content-type": "application/x-protobuf", "x-token": "abc"}
    assert expected.items() <= request[1].items()
    events = {event["span"]["id"]: event for event in harness.events("span")}
    sent = {span.span_id.hex(): span for span in collector.spans()}
    assert sent.keys() == events.keys()
    assert {span.name for span in sent.values()} == {"GET /{status:int}", "predict"}
    for span_id, exported in sent.items():
        event = events[span_id]
        assert (exported.trace_id.hex(), exported.name) == (
            event["trace"]["id"],
            event["span"]["name"],
        )
        duration = exported.end_time_unix_nano - exported.start_time_unix_nano
        assert duration == event["event"]["duration"]
        assert exported.parent_span_id.hex() == event.get("parent", {"id": ""})["id"]
    assert harness.events("request")[1]["span"]["id"] in sent


async def test_the_resource_follows_the_settings_and_the_standard_variables_take_precedence(
    harness: Harness, collector: OtlpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=blue,service.version=9")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "other")
    app = make_app(harness)
    telemetry = harness.instrument(app, sample_ratio=1)
    async with harness.client(app) as client:
        await client.get("/200")
    telemetry.close()
    resource = collector.resource()
    expected = {
        "service.name": "other",
        "service.version": "9",
        "team": "blue",
        "service.instance.id": "shop-1",
        "deployment.environment.name": "local",
        "telemetry.sdk.language": "python",
    }
    assert expected.items() <= resource.items()
    assert harness.event("request")["service"]["name"] == "shop"


@pytest.fixture
def frequent_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Export each 20 ms instead of each 5 s, from a short queue."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")


UNAVAILABLE = "the OTLP endpoint is unavailable; spans are dropped until it recovers"


def reports(harness: Harness) -> list[str]:
    return [e["message"] for e in harness.events("app") if "OTLP" in e["message"]]


@pytest.mark.usefixtures("frequent_export")
async def test_an_unavailable_endpoint_fails_no_request_and_is_reported_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    app = make_app(harness)
    telemetry = harness.instrument(app, sample_ratio=1)
    async with harness.client(app) as client:
        for _ in range(200):  # far more spans than fit in the queue
            assert (await client.get("/200")).status_code == 200
        eventually(lambda: reports(harness))
        for _ in range(50):
            await client.get("/200")
    assert reports(harness) == [UNAVAILABLE]
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert [len(harness.events(name)) for name in ("request", "span")] == [250, 500]
    assert telemetry._otlp is not None
    assert not telemetry._otlp.force_flush(), "the endpoint is known to be unavailable"
    own = OTLPSpanExporter()  # of the application, beside ours
    own.export([])
    assert "Failed to export" in caplog.text


@pytest.mark.usefixtures("frequent_export")
async def test_the_recovery_of_an_endpoint_is_reported_once(
    harness: Harness, collector: OtlpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    collector.status = 400
    app = make_app(harness)
    harness.instrument(app, sample_ratio=1)
    async with harness.client(app) as client:
        for count in (2, 4):  # spans, which may arrive one by one
            await client.get("/200")
            eventually(lambda: len(spans_of(collector.refused)) == count)  # noqa: B023  waited for here
            eventually(lambda: reports(harness))
        collector.status = 200
        for count in (2, 4):
            await client.get("/200")
            eventually(lambda: len(collector.spans()) == count)  # noqa: B023  waited for here
            eventually(lambda: len(reports(harness)) == 2)
    assert reports(harness) == [UNAVAILABLE, "the OTLP endpoint accepts spans again"]


@pytest.fixture
def silent_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """An endpoint that accepts connections and never responds; the exporter waits a minute for it."""
    monkeypatch.setattr(telemetry_module, "FLUSH_SECONDS", 0.2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        port = listener.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        yield listener


def is_open(connection: socket.socket) -> bool:
    """Whether the client that sent a request on this connection still waits for the response."""
    connection.setblocking(False)
    try:
        while connection.recv(65_536):
            pass
    except BlockingIOError:
        return True
    return False


@pytest.mark.usefixtures("frequent_export")
async def test_neither_a_request_nor_the_shutdown_waits_for_a_silent_endpoint(
    harness: Harness, silent_endpoint: socket.socket
) -> None:
    app = make_app(harness)
    telemetry = harness.instrument(app, sample_ratio=1)
    async with harness.client(app) as client:
        await client.get("/200")
        connection, _ = silent_endpoint.accept()
        with connection:
            for _ in range(50):  # far more spans than fit in the queue
                assert (await client.get("/200")).status_code == 200
            assert is_open(connection)
            telemetry.close()
            assert is_open(connection)
            silent_endpoint.close()  # a retry would be accepted, too, and wait as long
    assert telemetry._otlp is not None
    telemetry._otlp.shutdown()  # otherwise it would retry for the rest of its minute


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_BSP_MAX_QUEUE_SIZE", "0"), ("OTEL_BSP_SCHEDULE_DELAY", "-1")]
)
def test_a_variable_that_the_sdk_refuses_is_a_settings_error(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="OTEL_BSP"):
        harness.instrument(Starlette())


def test_an_unsupported_exporter_is_logged_at_the_start(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    harness.instrument(Starlette())
    assert "OTEL_TRACES_EXPORTER=zipkin" in harness.event("app")["message"]
