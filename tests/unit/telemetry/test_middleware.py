"""The requests that the middleware observes, propagation, and the isolation of concurrent requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from support.harnesses.telemetry_harness import Harness, duration_sample
from support.samples.asgi_apps import app_with, ok
from tidegate.telemetry import annotate, fail, outgoing_headers, span


@pytest.mark.parametrize("tracing", ["native", "opentelemetry", "off"])
async def test_nothing_is_recorded_of_quiet_paths(harness: Harness, tracing: str) -> None:
    async def ready(request: Request) -> Response:
        annotate(ignored=True)
        with span("check"):
            return Response(status_code=503)

    app = Starlette(routes=[Route("/ready", ready), Route("/other", ok)])
    harness.instrument(app, sample_ratio=1, tracing=tracing, quiet_paths=["/ready"])
    async with harness.client(app) as client:
        response = await client.get("/ready")
    assert "traceresponse" not in response.headers
    assert harness.events() == []
    assert duration_sample(harness.registry, "_count") is None


@pytest.mark.parametrize(
    ("path", "root_path", "quiet"),
    [("/api/ready", "/api", True), ("/ready", "/api", True), ("/api/ready", "", False)],
)
async def test_quiet_paths_are_below_the_root_path(
    harness: Harness, path: str, root_path: str, quiet: bool
) -> None:
    app = Starlette(routes=[Route("/ready", ok), Route("/api/ready", ok)])
    harness.instrument(app)
    async with harness.client(app, root_path=root_path) as client:
        assert (await client.get(path)).status_code == 200
    assert (harness.events("request") == []) is quiet


async def test_a_trace_of_the_caller_is_continued(harness: Harness) -> None:
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    sent: list[dict[str, str]] = []

    async def call(request: Request) -> Response:
        sent.append(outgoing_headers())
        with span("call"):
            sent.append(outgoing_headers())
        return Response()

    headers = {"traceparent": f"00-{trace}-{parent}-01", "tracestate": "vendor=x"}
    response = await harness.get(call, headers=headers, sample_ratio=0)
    event = harness.event("request")
    assert (event["trace"]["id"], event["parent"]["id"]) == (trace, parent)
    own = event["span"]["id"]
    assert response.headers["traceresponse"] == f"00-{trace}-{own}-01"
    child = next(e for e in harness.events("span") if e["span"]["name"] == "call")
    assert sent == [
        {"traceparent": f"00-{trace}-{own}-01", "tracestate": "vendor=x"},
        {"traceparent": f"00-{trace}-{child['span']['id']}-01", "tracestate": "vendor=x"},
    ]


async def test_outside_a_request_the_functions_have_no_effect() -> None:
    annotate(ignored=True)
    fail("ignored", "ignored")
    with span("ignored") as ignored:
        ignored.set(also="ignored")
    assert outgoing_headers() == {}


async def test_concurrent_requests_are_isolated(harness: Harness) -> None:
    both = asyncio.Barrier(2)

    async def meet(request: Request) -> Response:
        annotate(me=request.path_params["me"])
        await both.wait()
        with span(request.path_params["me"]):
            await both.wait()
        return Response()

    app = app_with(meet, "/{me}")
    harness.instrument(app, sample_ratio=1)
    async with harness.client(app) as client:
        await asyncio.gather(client.get("/a"), client.get("/b"))
    by_trace = {e["trace"]["id"]: e["tidegate"]["me"] for e in harness.events("request")}
    assert sorted(by_trace.values()) == ["a", "b"]
    for event in harness.events("span"):
        if event["span"]["kind"] == "internal":
            assert by_trace[event["trace"]["id"]] == event["span"]["name"]


async def test_a_sync_endpoint_and_a_yielding_dependency_are_part_of_the_request(
    harness: Harness,
) -> None:
    app = FastAPI()

    def connection() -> Any:
        with span("connection"):
            yield 1

    @app.get("/")
    def read(number: int = Depends(connection)) -> dict[str, int]:
        annotate(rows=number)
        with span("query"):
            return {"number": number}

    harness.instrument(app, sample_ratio=1)
    async with harness.client(app) as client:
        assert (await client.get("/")).json() == {"number": 1}
    assert harness.event("request")["tidegate"]["rows"] == 1
    names = {e["span"]["name"] for e in harness.events("span")}
    assert names == {"GET /", "connection", "query"}


async def test_an_error_of_telemetry_fails_no_request_and_is_logged_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with(ok)
    telemetry = harness.instrument(app)

    def broken(*_: Any) -> None:
        raise ValueError("no way")

    monkeypatch.setattr(type(telemetry.writer), "write_encoded", broken)
    async with harness.client(app) as client:
        assert [(await client.get("/")).status_code for _ in range(3)] == [200] * 3
    assert [one.name for one in caplog.records].count("tidegate.telemetry") == 1
