from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry.instrumentation import _semconv
from starlette.applications import Starlette

from support.harnesses.telemetry_harness import Harness
from tidegate.telemetry import current_ids, get_logger, outgoing_headers, span

TRACE, PARENT = "f" * 32, "e" * 16


def make_app(seen: list[Any]) -> FastAPI:
    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: int) -> int:
        with span("predict", rows=item) as predicting:
            predicting.set(label="late")
            get_logger("a").info("inside")
            seen.append((current_ids(), outgoing_headers()))
        return item

    @app.get("/broken")
    async def broken() -> None:
        with span("predict"):
            raise ValueError("bad")

    return app


async def test_the_event_and_the_log_records_have_the_ids_of_the_spans(harness: Harness) -> None:
    seen: list[Any] = []
    app = make_app(seen)
    harness.instrument(app, tracing="opentelemetry")
    async with harness.client(app) as client:
        response = await client.get("/items/3", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    spans = {event["span"]["name"]: event for event in harness.events("span")}
    server, child = spans["GET /items/{item}"], spans["predict"]
    request = harness.event("request")
    assert request["trace"] == {"id": TRACE}
    assert request["span"]["id"] == server["span"]["id"]
    assert server["parent"] == {"id": PARENT}
    assert child["parent"] == {"id": server["span"]["id"]}
    assert child["tidegate"]["attributes"] == {"rows": 3, "label": "late"}
    assert harness.event("app")["span"]["id"] == child["span"]["id"]
    ((ids, headers),) = seen
    assert ids == (TRACE, child["span"]["id"])
    assert headers["traceparent"].startswith(f"00-{TRACE}-{child['span']['id']}-")
    assert response.headers["traceresponse"] == f"00-{TRACE}-{server['span']['id']}-01"
    assert harness.exemplars()[0]["trace_id"] == TRACE


async def test_names_are_stable_although_an_instrumentation_of_the_application_came_first(
    harness: Harness, select_conventions: Callable[[str], None]
) -> None:
    select_conventions("")
    stability: Any = _semconv._OpenTelemetrySemanticConventionStability
    stability._initialize()  # as each of them does
    app = make_app([])
    harness.instrument(app, tracing="opentelemetry")
    async with harness.client(app) as client:
        await client.get("/items/3")
    spans = {event["span"]["name"]: event for event in harness.events("span")}
    names = spans["GET /items/{item}"]["tidegate"]["attributes"].keys()
    assert "http.request.method" in names
    assert "http.method" not in names


async def test_an_exception_marks_its_spans_and_the_event_as_failed(harness: Harness) -> None:
    app = make_app([])
    harness.instrument(app, tracing="opentelemetry")
    async with harness.client(app) as client:
        assert (await client.get("/broken")).status_code == 500
    spans = {event["span"]["name"]: event for event in harness.events("span")}
    assert spans["predict"]["error"]["message"] == "bad"
    assert spans["GET /broken"]["event"]["outcome"] == "failure"
    assert harness.event("request")["error"]["type"] == "ValueError"


async def test_the_standard_sampler_decides(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    app = make_app([])
    harness.instrument(app, tracing="opentelemetry")
    async with harness.client(app) as client:
        response = await client.get("/broken")
    assert harness.events("span") == []
    assert response.headers["traceresponse"].endswith("-00")
    assert harness.event("request")["trace"]["id"] == response.headers["traceresponse"][3:35]
    assert harness.exemplars() == []


@pytest.mark.parametrize(("disabled", "tracing"), [("true", "opentelemetry"), ("", "off")])
async def test_without_spans_there_are_events_and_ids(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, disabled: str, tracing: str
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", disabled)
    seen: list[Any] = []
    app = make_app(seen)
    harness.instrument(app, tracing=tracing, sample_ratio=1)
    async with harness.client(app) as client:
        response = await client.get("/items/3", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert harness.events("span") == []
    event = harness.event("request")
    assert event["trace"]["id"] == TRACE
    assert response.headers["traceresponse"] == f"00-{TRACE}-{event['span']['id']}-00"
    assert harness.event("app")["trace"]["id"] == TRACE
    ((ids, headers),) = seen
    assert ids == (TRACE, event["span"]["id"])
    assert headers == {"traceparent": f"00-{TRACE}-{event['span']['id']}-00"}


def test_without_fastapi_the_error_names_the_mode_that_works(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.fastapi", None)
    with pytest.raises(RuntimeError, match="'native' does not"):
        harness.instrument(Starlette(), tracing="opentelemetry")
