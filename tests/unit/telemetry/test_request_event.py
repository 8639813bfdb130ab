"""The event of a request: times, status, errors, and the fields of the application."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from support.harnesses.telemetry_harness import START_NS, Harness, duration_sample
from support.samples.asgi_apps import (
    ApplicationError,
    app_with,
    http_scope,
    ignore,
    ok,
    receive_once,
)
from tidegate.telemetry import annotate, fail
from tidegate.telemetry.request_event import milliseconds


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (35_400_000, "35 ms"),
        (10_000_000, "10 ms"),
        (9_940_000, "9.9 ms"),
        (1_000_000, "1.0 ms"),
        (999_000, "1.00 ms"),
        (40_000, "0.04 ms"),
    ],
)
def test_a_duration_has_about_two_digits(nanoseconds: int, text: str) -> None:
    assert milliseconds(nanoseconds) == text


async def test_a_request_has_one_wide_event(harness: Harness) -> None:
    async def predict(request: Request) -> Response:
        harness.clock.advance_ms(35)
        annotate(model={"name": "flights"}, rows=3)
        annotate(model={"version": "7"})
        return JSONResponse({})

    app = app_with(predict, "/predict/{kind}")
    harness.instrument(app, sample_ratio=0)
    async with harness.client(app) as client:
        response = await client.post("/predict/light?token=secret", json={})

    event = harness.event("request")
    assert event.pop("ecs")
    assert len(event["event"].pop("id")) == 32
    assert event == {
        "@timestamp": "2023-11-14T22:13:20.035000Z",
        "message": "POST /predict/{kind} 200 in 35 ms",
        "log": {"level": "info"},
        "event": {
            "dataset": "tidegate.request",
            "action": "request",
            "outcome": "success",
            "duration": 35_000_000,
            "start": "2023-11-14T22:13:20.000000Z",
        },
        "service": {
            "name": "shop",
            "version": "0",
            "environment": "local",
            "node": {"name": "shop-1"},
        },
        "data_stream": {"type": "logs", "dataset": "tidegate.request", "namespace": "default"},
        "http": {"request": {"method": "POST"}, "response": {"status_code": 200}},
        "url": {"path": "/predict/{kind}"},
        "trace": {"id": f"{0xABC << 64 | 1:032x}"},
        "span": {"id": f"{1:016x}"},
        "tidegate": {
            "route": "/predict/{kind}",
            "model": {"name": "flights", "version": "7"},
            "rows": 3,
        },
    }
    assert response.headers["traceresponse"] == f"00-{0xABC << 64 | 1:032x}-{1:016x}-00"


@pytest.mark.parametrize("path", ["/", '/qu"ote%s{', "/\ud800", "/" + "l" * 500])
async def test_events_of_like_requests_differ_in_their_times_ids_and_fields(
    harness: Harness, path: str
) -> None:
    app = app_with(ok)
    harness.instrument(app, sample_ratio=0)
    for _ in range(2):
        await app({**http_scope("/"), "path": path}, receive_once(), ignore)
        harness.clock.advance_ms(1000)
    first, second = harness.events("request")
    assert first["url"]["path"] == path.replace("\ud800", "?")
    assert first["event"].pop("id") != second["event"].pop("id")
    assert [each["span"].pop("id")[-1] for each in (first, second)] == ["1", "2"]
    assert [each["trace"].pop("id")[-1] for each in (first, second)] == ["1", "2"]
    assert [each["event"].pop("start")[17:19] for each in (first, second)] == ["20", "21"]
    assert [each.pop("@timestamp")[17:19] for each in (first, second)] == ["20", "21"]
    assert first == second


async def test_the_duration_counts_from_the_arrival_at_the_gateway(harness: Harness) -> None:
    async def slow(request: Request) -> Response:
        harness.clock.advance_ms(100)
        return Response()

    stamp = f"t={(START_NS - 300_000_000) // 1000}"
    await harness.get(slow, headers={"x-request-start": stamp})
    written = harness.event("request")
    event = written["event"]
    assert event["duration"] == 400_000_000
    assert event["start"] == "2023-11-14T22:13:19.700000Z"
    assert written["tidegate"]["gateway"] == {"queue_ns": 300_000_000}
    assert duration_sample(harness.registry, "_sum", http_route="/") == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("status", "level", "outcome", "error"),
    [
        (200, "info", "success", None),
        (302, "info", "success", None),
        (404, "warn", "success", None),
        (503, "error", "failure", {"type": "503", "message": "Service Unavailable"}),
        (599, "error", "failure", {"type": "599", "message": "HTTP status 599"}),
    ],
)
async def test_the_status_decides_level_and_outcome(
    harness: Harness, status: int, level: str, outcome: str, error: dict[str, str] | None
) -> None:
    async def endpoint(request: Request) -> Response:
        return Response(status_code=status)

    await harness.get(endpoint)
    event = harness.event("request")
    assert (event["log"]["level"], event["event"]["outcome"]) == (level, outcome)
    assert event.get("error") == error


@pytest.mark.parametrize("status", [422, 503])
async def test_the_application_can_set_the_reason(harness: Harness, status: int) -> None:
    async def refuse(request: Request) -> Response:
        fail("no_slot", "all 2 slots are taken")
        return Response(status_code=status)

    await harness.get(refuse)
    reason = {"type": "no_slot", "message": "all 2 slots are taken"}
    assert harness.event("request")["error"] == reason


async def test_an_unhandled_exception_is_in_the_event_with_its_stack(harness: Harness) -> None:
    async def boom(request: Request) -> Response:
        raise ApplicationError("the model is gone")

    response = await harness.get(boom, sample_ratio=0)
    assert response.status_code == 500
    event = harness.event("request")
    assert event["http"]["response"]["status_code"] == 500
    assert event["event"]["outcome"] == "failure"
    assert event["error"]["type"].endswith("ApplicationError")
    assert event["error"]["message"] == "the model is gone"
    assert "in boom" in event["error"]["stack_trace"]
    assert response.headers["traceresponse"].endswith("-01")
    assert response.headers["traceresponse"][3:35] == event["trace"]["id"]


async def test_an_exception_whose_message_fails_is_recorded_by_its_class(harness: Harness) -> None:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise ValueError("no message")

    async def boom(request: Request) -> Response:
        raise UnprintableError

    assert (await harness.get(boom)).status_code == 500
    assert harness.event("request")["error"]["message"] == "<UnprintableError>"


async def test_an_exception_that_the_app_handles_is_not_an_error(harness: Harness) -> None:
    async def boom(request: Request) -> Response:
        raise ApplicationError

    async def handle(request: Request, error: Exception) -> Response:
        return PlainTextResponse("sorry", status_code=409)

    app = Starlette(routes=[Route("/", boom)], exception_handlers={ApplicationError: handle})
    harness.instrument(app)
    async with harness.client(app) as client:
        assert (await client.get("/")).status_code == 409
    assert "error" not in harness.event("request")


@pytest.mark.parametrize("value", ["\ud800", 2**70, float("nan"), {1: {2: b"\xff"}}, object()])
async def test_the_event_is_written_with_any_annotated_value(harness: Harness, value: Any) -> None:
    async def endpoint(request: Request) -> Response:
        annotate(value=value)
        fail("bad", "\ud800")
        return Response()

    assert (await harness.get(endpoint)).status_code == 200
    assert "value" in harness.event("request")["tidegate"]


async def test_an_annotated_value_is_not_modified(harness: Harness) -> None:
    shared = {"model": {"name": "flights"}}

    async def endpoint(request: Request) -> Response:
        annotate(info=shared)
        annotate(info={"model": {"version": "2"}}, x=1)
        annotate(info={"rows": 1})
        return Response()

    await harness.get(endpoint)
    assert shared == {"model": {"name": "flights"}}
    assert harness.event("request")["tidegate"]["info"] == {
        "model": {"name": "flights", "version": "2"},
        "rows": 1,
    }
