"""What the event of a request says: times, status, errors, and what the application adds."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tidegate.telemetry import annotate, fail

from .asgi import OwnError, app_of, ok
from .conftest import START_NS, Bench, sample


async def test_a_request_leaves_one_wide_event(bench: Bench) -> None:
    async def predict(request: Request) -> Response:
        bench.time.pass_ms(35)
        annotate(model={"name": "flights"}, rows=3)
        annotate(model={"version": "7"})
        return JSONResponse({})

    app = app_of(predict, "/predict/{kind}")
    bench.instrument(app, sample_ratio=0)
    async with bench.client(app) as client:
        answer = await client.post("/predict/light?token=secret", json={})

    event = bench.event("request")
    assert event.pop("ecs")
    assert len(event["event"].pop("id")) == 32
    assert event == {
        "@timestamp": "2023-11-14T22:13:20.035000Z",
        "message": "POST /predict/light 200 in 35 ms",
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
        "url": {"path": "/predict/light"},
        "trace": {"id": f"{0xABC << 64 | 1:032x}"},
        "span": {"id": f"{1:016x}"},
        "tidegate": {
            "route": "/predict/{kind}",
            "model": {"name": "flights", "version": "7"},
            "rows": 3,
        },
    }
    assert answer.headers["traceresponse"] == f"00-{0xABC << 64 | 1:032x}-{1:016x}-00"


async def test_the_duration_counts_from_the_arrival_at_the_gateway(bench: Bench) -> None:
    async def slow(request: Request) -> Response:
        bench.time.pass_ms(100)
        return Response()

    app = app_of(slow)
    telemetry = bench.instrument(app)
    stamp = f"t={(START_NS - 300_000_000) // 1000}"
    async with bench.client(app) as client:
        await client.get("/", headers={"x-request-start": stamp})

    event = bench.event("request")["event"]
    assert event["duration"] == 400_000_000
    assert event["start"] == "2023-11-14T22:13:19.700000Z"
    assert sample(telemetry.registry, "_sum", http_route="/") == pytest.approx(0.4)


@pytest.mark.parametrize("stamp", ["t=0", "nonsense", f"t={(START_NS + 10**9) // 1000}"])
async def test_an_arrival_that_cannot_be_right_is_not_used(bench: Bench, stamp: str) -> None:
    app = app_of(ok)
    bench.instrument(app)
    async with bench.client(app) as client:
        await client.get("/", headers={"x-request-start": stamp})
    assert bench.event("request")["event"]["duration"] == 0


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
    bench: Bench, status: int, level: str, outcome: str, error: dict[str, str] | None
) -> None:
    async def answer(request: Request) -> Response:
        return Response(status_code=status)

    app = app_of(answer)
    bench.instrument(app)
    async with bench.client(app) as client:
        await client.get("/")
    event = bench.event("request")
    assert event["log"]["level"] == level
    assert event["event"]["outcome"] == outcome
    assert event.get("error") == error


@pytest.mark.parametrize("status", [422, 503])
async def test_the_application_can_say_why_it_failed(bench: Bench, status: int) -> None:
    async def refuse(request: Request) -> Response:
        fail("no_slot", "all 2 slots are taken")
        return Response(status_code=status)

    app = app_of(refuse)
    bench.instrument(app)
    async with bench.client(app) as client:
        await client.get("/")
    assert bench.event("request")["error"] == {
        "type": "no_slot",
        "message": "all 2 slots are taken",
    }


async def test_an_unhandled_exception_is_in_the_event_with_its_stack(bench: Bench) -> None:
    async def boom(request: Request) -> Response:
        raise OwnError("the model is gone")

    app = app_of(boom)
    bench.instrument(app, sample_ratio=0)
    async with bench.client(app) as client:
        answer = await client.get("/")
    assert answer.status_code == 500
    event = bench.event("request")
    assert event["http"]["response"]["status_code"] == 500
    assert event["event"]["outcome"] == "failure"
    assert event["error"]["type"].endswith("OwnError")
    assert event["error"]["message"] == "the model is gone"
    assert "in boom" in event["error"]["stack_trace"]
    assert answer.headers["traceresponse"].endswith("-01")
    assert answer.headers["traceresponse"][3:35] == event["trace"]["id"]


async def test_an_exception_that_cannot_be_printed_breaks_nothing(bench: Bench) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    async def boom(request: Request) -> Response:
        raise MuteError

    app = app_of(boom)
    bench.instrument(app)
    async with bench.client(app) as client:
        assert (await client.get("/")).status_code == 500
    assert bench.event("request")["error"]["message"] == "<MuteError>"


async def test_an_exception_that_the_app_answers_itself_is_no_exception_of_ours(
    bench: Bench,
) -> None:
    async def boom(request: Request) -> Response:
        raise OwnError

    async def handle(request: Request, error: Exception) -> Response:
        return PlainTextResponse("sorry", status_code=409)

    app = Starlette(routes=[Route("/", boom)], exception_handlers={OwnError: handle})
    bench.instrument(app)
    async with bench.client(app) as client:
        assert (await client.get("/")).status_code == 409
    assert "error" not in bench.event("request")


async def test_a_head_request_is_a_request(bench: Bench) -> None:
    app = app_of(ok)
    bench.instrument(app)
    async with bench.client(app) as client:
        assert (await client.head("/")).status_code == 200
    assert bench.event("request")["http"]["request"]["method"] == "HEAD"


@pytest.mark.parametrize("value", ["\ud800", 2**70, float("nan"), {1: {2: b"\xff"}}, object()])
async def test_whatever_is_annotated_the_event_is_written(bench: Bench, value: Any) -> None:
    async def answer(request: Request) -> Response:
        annotate(value=value)
        fail("bad", "\ud800")
        return Response()

    app = app_of(answer)
    bench.instrument(app)
    async with bench.client(app) as client:
        assert (await client.get("/")).status_code == 200
    assert "value" in bench.event("request")["tidegate"]


async def test_what_a_caller_annotates_is_never_changed(bench: Bench) -> None:
    shared = {"model": {"name": "flights"}}

    async def answer(request: Request) -> Response:
        annotate(info=shared)
        annotate(info={"model": {"version": "2"}}, x=1)
        annotate(info={"rows": 1})
        return Response()

    app = app_of(answer)
    bench.instrument(app)
    async with bench.client(app) as client:
        await client.get("/")
    assert shared == {"model": {"name": "flights"}}
    assert bench.event("request")["tidegate"]["info"] == {
        "model": {"name": "flights", "version": "2"},
        "rows": 1,
    }
