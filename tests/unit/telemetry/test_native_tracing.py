from __future__ import annotations

from contextlib import suppress
from threading import Thread
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from support.harnesses.telemetry_harness import START_NS, Harness
from support.samples.asgi_apps import app_with, ok
from tidegate.telemetry import current_ids, get_logger, span
from tidegate.telemetry.request_record import MAX_SPANS, SpanRecord, record_of

TRACE, PARENT = "f" * 32, "e" * 16


def by_name(harness: Harness) -> dict[str, dict[str, Any]]:
    return {event["span"]["name"]: event for event in harness.events("span")}


async def test_a_span_keeps_its_id_if_two_threads_ask_for_it_at_once(harness: Harness) -> None:
    made = iter(["1" * 16, "2" * 16])
    spans: list[SpanRecord] = []
    found: list[str] = []

    def new_id() -> str:
        if not found:  # another thread is faster
            found.append("")
            other = Thread(target=lambda: found.append(spans[0].span_id))
            other.start()
            other.join(10)
        return next(made)

    async def answer(request: Request) -> Response:
        record = record_of(request.scope)
        assert record is not None
        spans.append(SpanRecord(record, "child", new_id, {}, record))
        return Response()

    await harness.get(answer)
    first = spans[0].span_id
    assert [first, spans[0].span_id] == [found[1]] * 2


async def test_the_spans_of_a_sampled_request_are_events(harness: Harness) -> None:
    async def predict(request: Request) -> Response:
        harness.clock.advance_ms(1)
        with span("queue wait"):
            harness.clock.advance_ms(10)
        with span("predict", rows=3) as predicting:
            harness.clock.advance_ms(5)
            with span("tree", number=1):
                harness.clock.advance_ms(2)
            predicting.set(label="late")
        return Response()

    await harness.get(predict, "/predict", sample_ratio=1)
    request = harness.event("request")
    spans = by_name(harness)
    assert spans.keys() == {"GET /predict", "queue wait", "predict", "tree"}
    server = spans["GET /predict"]
    assert server["span"] == {"id": request["span"]["id"], "name": "GET /predict", "kind": "server"}
    assert "parent" not in server
    assert server["event"]["duration"] == 18_000_000
    assert spans["queue wait"]["event"]["start"] == "2023-11-14T22:13:20.001000Z"
    assert spans["predict"]["tidegate"]["attributes"] == {"rows": 3, "label": "late"}
    assert spans["predict"]["span"]["kind"] == "internal"
    own, predicting_id = request["span"]["id"], spans["predict"]["span"]["id"]
    inner = {"queue wait": (10, own), "predict": (7, own), "tree": (2, predicting_id)}
    for name, (milliseconds, parent) in inner.items():
        assert spans[name]["event"]["duration"] == milliseconds * 1_000_000
        assert spans[name]["parent"] == {"id": parent}
    for event in spans.values():
        assert event["trace"] == request["trace"]
        assert event["event"]["outcome"] == "success"
        stream = {"type": "traces", "dataset": "tidegate.span", "namespace": "default"}
        assert event["data_stream"] == stream
        assert event["event"]["id"] == event["trace"]["id"] + event["span"]["id"]


async def test_the_wait_in_the_gateway_is_a_span(harness: Harness) -> None:
    stamp = f"t={(START_NS - 2_000_000_000) // 1000}"
    await harness.get(ok, headers={"x-request-start": stamp}, sample_ratio=1)
    spans = by_name(harness)
    assert spans["GET /"]["event"]["duration"] == 2_000_000_000
    assert spans["gateway wait"]["event"]["duration"] == 2_000_000_000
    assert spans["gateway wait"]["event"]["start"] == "2023-11-14T22:13:18.000000Z"
    assert spans["gateway wait"]["parent"] == {"id": spans["GET /"]["span"]["id"]}


@pytest.mark.parametrize(
    ("milliseconds", "status", "headers", "sampled"),
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
async def test_failed_and_slow_requests_and_those_of_a_sampled_trace_are_sampled(
    harness: Harness, milliseconds: float, status: int, headers: dict[str, str], sampled: bool
) -> None:
    async def endpoint(request: Request) -> Response:
        harness.clock.advance_ms(milliseconds)
        return Response(status_code=status)

    response = await harness.get(endpoint, headers=headers, sample_ratio=0)
    assert bool(harness.events("span")) is sampled
    assert response.headers["traceresponse"].endswith("-01" if sampled else "-00")
    event = harness.event("request")
    exemplar = {"trace_id": event["trace"]["id"], "span_id": event["span"]["id"]}
    assert harness.exemplars() == ([exemplar] if sampled else [])


async def test_a_caller_can_cause_sampling_up_to_a_rate(harness: Harness) -> None:
    app = app_with(ok)
    harness.instrument(app, sample_ratio=0, caller_traces_per_second=10)
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    async with harness.client(app) as client:
        for _ in range(30):  # one per second: each is sampled
            harness.clock.advance_ms(1000)
            response = await client.get("/", headers=headers)
            assert response.headers["traceresponse"].endswith("-01")
        assert len(harness.events("span")) == 30
        harness.clock.advance_ms(1000)
        for _ in range(200):  # 100 per second for 2 s: a burst of 10, then 10 per second
            await client.get("/", headers=headers)
            harness.clock.advance_ms(10)
    assert len(harness.events("span")) - 30 == 10 + 2 * 10 - 1
    assert len(harness.events("request")) == 230


async def test_an_exception_marks_the_span_as_failed(harness: Harness) -> None:
    async def endpoint(request: Request) -> Response:
        with span("outer"), suppress(ValueError), span("inner"):
            raise ValueError("no such airport")
        return Response()

    await harness.get(endpoint, sample_ratio=1)
    spans = by_name(harness)
    assert [spans[name]["event"]["outcome"] for name in ("inner", "outer")] == [
        "failure",
        "success",
    ]
    assert spans["inner"]["log"]["level"] == "error"
    error = spans["inner"]["error"]
    assert (error["type"], error["message"]) == ("ValueError", "no such airport")
    assert "Traceback" in error["stack_trace"]


async def test_an_open_span_ends_with_the_request(harness: Harness) -> None:
    open_spans = []

    async def endpoint(request: Request) -> Response:
        entered = span("open")
        entered.__enter__()
        open_spans.append(entered)
        harness.clock.advance_ms(4)
        return Response()

    await harness.get(endpoint, sample_ratio=1)
    assert by_name(harness)["open"]["event"]["duration"] == 4_000_000


async def test_the_first_spans_of_a_request_are_recorded(harness: Harness) -> None:
    async def endpoint(request: Request) -> Response:
        for number in range(MAX_SPANS + 5):
            with span(f"{number}"):
                pass
        return Response()

    await harness.get(endpoint, sample_ratio=1)
    assert len(harness.events("span")) == MAX_SPANS + 1


async def test_log_records_have_the_id_of_the_innermost_span(harness: Harness) -> None:
    seen = []

    async def endpoint(request: Request) -> Response:
        get_logger("a").info("outside")
        with span("inside"):
            get_logger("a").info("inside")
            seen.append(current_ids())
        get_logger("a").info("outside")
        return Response()

    await harness.get(endpoint, sample_ratio=1)
    outside, inside = (by_name(harness)[name]["span"]["id"] for name in ("GET /", "inside"))
    records, trace = harness.events("app"), harness.event("request")["trace"]
    assert [record["span"]["id"] for record in records] == [outside, inside, outside]
    assert [record["trace"] for record in records] == [trace] * 3
    assert seen == [(trace["id"], inside)]
    assert current_ids() is None


async def test_the_request_of_a_mounted_app_is_a_child_span(harness: Harness) -> None:
    inner = app_with(ok, "/item")
    outer = Starlette(routes=[Mount("/shop", inner)])
    harness.instrument(inner, sample_ratio=0)
    harness.instrument(outer, sample_ratio=1)
    stamp = f"t={(START_NS - 1_000_000) // 1000}"
    async with harness.client(outer) as client:
        response = await client.get("/shop/item", headers={"x-request-start": stamp})
    first, second = harness.events("request")
    assert first["parent"] == {"id": second["span"]["id"]}
    assert first["trace"] == second["trace"]
    assert [one["tidegate"]["route"] for one in (first, second)] == ["/item", "/shop/item"]
    assert response.headers.get_list("traceresponse") == [
        f"00-{second['trace']['id']}-{second['span']['id']}-01"
    ]
    kinds = {event["span"]["id"]: event["span"]["kind"] for event in harness.events("span")}
    assert [kinds[one["span"]["id"]] for one in (first, second)] == ["internal", "server"]


async def test_invalid_attributes_fail_no_request(harness: Harness) -> None:
    async def endpoint(request: Request) -> Response:
        with span("odd", nothing=None, thing=object(), fine=1):
            return Response()

    assert (await harness.get(endpoint, sample_ratio=1)).status_code == 200
    assert by_name(harness)["odd"]["tidegate"]["attributes"]["fine"] == 1
