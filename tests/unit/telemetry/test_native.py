from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from tidegate.telemetry import current_ids, get_logger, span
from tidegate.telemetry.request_record import MOST_SPANS

from .conftest import START_NS, Bench

TRACE, PARENT = "f" * 32, "e" * 16


def by_name(bench: Bench) -> dict[str, dict[str, Any]]:
    return {event["span"]["name"]: event for event in bench.events("span")}


async def test_a_kept_request_leaves_its_spans_as_events(bench: Bench) -> None:
    async def predict(request: Request) -> Response:
        bench.time.pass_ms(1)
        with span("queue wait"):
            bench.time.pass_ms(10)
        with span("predict", rows=3) as predicting:
            bench.time.pass_ms(5)
            with span("tree", number=1):
                bench.time.pass_ms(2)
            predicting.set(label="late")
        return Response()

    app = Starlette(routes=[Route("/predict", predict)])
    bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        await client.get("/predict")

    request = bench.event("request")
    spans = by_name(bench)
    assert spans.keys() == {"GET /predict", "queue wait", "predict", "tree"}
    server = spans["GET /predict"]
    assert server["span"] == {"id": request["span"]["id"], "name": "GET /predict", "kind": "server"}
    assert "parent" not in server
    assert server["event"]["duration"] == 18_000_000
    assert spans["queue wait"]["event"]["start"] == "2023-11-14T22:13:20.001000Z"
    assert spans["queue wait"]["event"]["duration"] == 10_000_000
    assert spans["predict"]["event"]["duration"] == 7_000_000
    assert spans["predict"]["tidegate"]["attributes"] == {"rows": 3, "label": "late"}
    assert spans["predict"]["span"]["kind"] == "internal"
    assert spans["tree"]["event"]["duration"] == 2_000_000
    assert spans["queue wait"]["parent"] == {"id": request["span"]["id"]}
    assert spans["predict"]["parent"] == {"id": request["span"]["id"]}
    assert spans["tree"]["parent"] == {"id": spans["predict"]["span"]["id"]}
    for event in spans.values():
        assert event["trace"] == request["trace"]
        assert event["event"]["outcome"] == "success"
        assert event["data_stream"] == {
            "type": "traces",
            "dataset": "tidegate.span",
            "namespace": "default",
        }
    assert len({event["event"]["id"] for event in spans.values()}) == 4


async def test_the_wait_in_the_gateway_is_a_span(bench: Bench) -> None:
    app = Starlette(routes=[Route("/", empty)])
    bench.instrument(app, sample_ratio=1)
    stamp = f"t={(START_NS - 2_000_000_000) // 1000}"
    async with bench.client(app) as client:
        await client.get("/", headers={"x-request-start": stamp})
    spans = by_name(bench)
    assert spans["GET /"]["event"]["duration"] == 2_000_000_000
    assert spans["gateway wait"]["event"]["duration"] == 2_000_000_000
    assert spans["gateway wait"]["event"]["start"] == "2023-11-14T22:13:18.000000Z"
    assert spans["gateway wait"]["parent"] == {"id": spans["GET /"]["span"]["id"]}


@pytest.mark.parametrize(
    ("milliseconds", "status", "headers", "kept"),
    [
        (0, 200, {}, False),
        (499.9, 200, {}, False),
        (500, 200, {}, True),
        (0, 404, {}, False),
        (0, 500, {}, True),
        (0, 503, {}, True),
        (0, 200, {"traceparent": f"00-{TRACE}-{PARENT}-01"}, True),
        (0, 200, {"traceparent": f"00-{TRACE}-{PARENT}-00"}, False),
    ],
)
async def test_errors_slow_ones_and_what_the_caller_keeps_are_kept(
    bench: Bench, milliseconds: float, status: int, headers: dict[str, str], kept: bool
) -> None:
    async def answer(request: Request) -> Response:
        bench.time.pass_ms(milliseconds)
        return Response(status_code=status)

    app = Starlette(routes=[Route("/", answer)])
    telemetry = bench.instrument(app, sample_ratio=0)
    async with bench.client(app) as client:
        given = await client.get("/", headers=headers)
    assert bool(bench.events("span")) is kept
    assert given.headers["traceresponse"].endswith("-01" if kept else "-00")
    exemplars = [
        held.exemplar
        for family in telemetry.registry.collect()
        for held in family.samples
        if held.exemplar
    ]
    event = bench.event("request")
    if kept:
        assert [one.labels for one in exemplars] == [
            {"trace_id": event["trace"]["id"], "span_id": event["span"]["id"]}
        ]
    else:
        assert exemplars == []


async def test_a_share_of_the_others_is_kept_by_trace_id(bench: Bench) -> None:
    app = Starlette(routes=[Route("/", empty)])
    bench.instrument(app, sample_ratio=0.5)
    low, high = "0" * 16 + "7" + "f" * 15, "0" * 16 + "8" + "0" * 15
    async with bench.client(app) as client:
        for trace in (low, high, low):
            await client.get("/", headers={"traceparent": f"00-{trace}-{PARENT}-00"})
    assert [event["trace"]["id"] for event in bench.events("span")] == [low, low]


async def test_a_caller_has_traces_kept_up_to_a_rate(bench: Bench) -> None:
    app = Starlette(routes=[Route("/", empty)])
    bench.instrument(app, sample_ratio=0, caller_traces_per_second=10)
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    async with bench.client(app) as client:
        for _ in range(30):  # once a second: each one
            bench.time.pass_ms(1000)
            given = await client.get("/", headers=headers)
            assert given.headers["traceresponse"].endswith("-01")
        assert len(bench.events("span")) == 30
        bench.time.pass_ms(1000)
        for _ in range(200):  # 100 a second for two seconds: those of one second, and ten a second
            await client.get("/", headers=headers)
            bench.time.pass_ms(10)
    assert len(bench.events("span")) - 30 == 10 + 2 * 10 - 1
    assert len(bench.events("request")) == 230


async def test_an_exception_through_a_span_marks_it(bench: Bench) -> None:
    async def answer(request: Request) -> Response:
        with span("outer"), suppress(ValueError), span("inner"):
            raise ValueError("no such airport")
        return Response()

    app = Starlette(routes=[Route("/", answer)])
    bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        await client.get("/")
    spans = by_name(bench)
    assert spans["inner"]["event"]["outcome"] == "failure"
    assert spans["inner"]["log"]["level"] == "error"
    assert spans["inner"]["error"]["type"] == "ValueError"
    assert spans["inner"]["error"]["message"] == "no such airport"
    assert "Traceback" in spans["inner"]["error"]["stack_trace"]
    assert spans["outer"]["event"]["outcome"] == "success"


async def test_a_span_that_is_open_at_the_end_ends_with_the_request(bench: Bench) -> None:
    left_open = []

    async def answer(request: Request) -> Response:
        entered = span("open")
        entered.__enter__()
        left_open.append(entered)
        bench.time.pass_ms(4)
        return Response()

    app = Starlette(routes=[Route("/", answer)])
    bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        await client.get("/")
    assert by_name(bench)["open"]["event"]["duration"] == 4_000_000


async def test_a_request_with_very_many_spans_keeps_the_first(bench: Bench) -> None:
    async def answer(request: Request) -> Response:
        for number in range(MOST_SPANS + 5):
            with span(f"{number}"):
                pass
        return Response()

    app = Starlette(routes=[Route("/", answer)])
    bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        await client.get("/")
    assert len(bench.events("span")) == MOST_SPANS + 1


async def test_log_lines_carry_the_innermost_span(bench: Bench) -> None:
    seen = []

    async def answer(request: Request) -> Response:
        get_logger("a").info("outside")
        with span("inside"):
            get_logger("a").info("inside")
            seen.append(current_ids())
        get_logger("a").info("outside")
        return Response()

    app = Starlette(routes=[Route("/", answer)])
    bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        await client.get("/")
    spans = by_name(bench)
    lines = bench.events("app")
    assert [line["span"]["id"] for line in lines] == [
        spans["GET /"]["span"]["id"],
        spans["inside"]["span"]["id"],
        spans["GET /"]["span"]["id"],
    ]
    assert {line["trace"]["id"] for line in lines} == {bench.event("request")["trace"]["id"]}
    assert seen == [(lines[1]["trace"]["id"], lines[1]["span"]["id"])]
    assert current_ids() is None


async def test_an_instrumented_app_inside_another_is_a_child_of_its_request(
    bench: Bench,
) -> None:
    inner = Starlette(routes=[Route("/item", empty)])
    outer = Starlette(routes=[Mount("/shop", inner)])
    bench.instrument(inner, sample_ratio=0)
    bench.instrument(outer, sample_ratio=1)
    stamp = f"t={(START_NS - 1_000_000) // 1000}"
    async with bench.client(outer) as client:
        answer = await client.get("/shop/item", headers={"x-request-start": stamp})
    first, second = bench.events("request")
    assert first["parent"] == {"id": second["span"]["id"]}
    assert first["trace"] == second["trace"]
    assert first["tidegate"]["route"] == "/item"
    assert second["tidegate"]["route"] == "/shop/item"
    assert answer.headers.get_list("traceresponse") == [
        f"00-{second['trace']['id']}-{second['span']['id']}-01"
    ]
    kinds = {event["span"]["id"]: event["span"]["kind"] for event in bench.events("span")}
    assert kinds[first["span"]["id"]] == "internal"
    assert kinds[second["span"]["id"]] == "server"


async def test_attributes_that_are_no_attributes_break_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(request: Request) -> Response:
        with span("odd", nothing=None, thing=object(), fine=1):
            return Response()

    app = Starlette(routes=[Route("/", answer)])
    bench.instrument(app, sample_ratio=1)
    async with bench.client(app) as client:
        assert (await client.get("/")).status_code == 200
    assert by_name(bench)["odd"]["tidegate"]["attributes"]["fine"] == 1


async def empty(request: Request) -> Response:
    return Response()
