"""Native spans equal those of OpenTelemetry's FastAPI instrumentation, for the same requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Host, Mount, Route

from support.harnesses.telemetry_harness import Harness

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "tracestate": "vendor=x"}

Reqs = Sequence[tuple[str, str, dict[str, Any]]]
REQUESTS: Reqs = [
    ("GET", "/", {}),
    ("GET", "/?q=a%20b&sig=secret", {}),
    ("GET", "/items/3", {}),
    ("GET", "/items/not-a-number", {}),
    ("POST", "/orders/7/lines", {"json": {"amount": 2}}),
    ("POST", "/orders/7/lines", {"content": b"not json"}),
    ("DELETE", "/items/3", {}),
    ("HEAD", "/items/3", {}),
    ("BREW", "/items/3", {}),
    ("GET", "/nowhere", {}),
    ("GET", "/items/3/", {}),
    ("GET", "/fails/500", {}),
    ("GET", "/fails/503", {}),
    ("GET", "/broken", {}),
    ("GET", "/stream?broken=true", {}),
    ("GET", "/stream", {}),
    ("GET", "/api/v1/things/4", {}),
    ("GET", "/mounted/inner/5", {}),
    ("GET", "/mounted/none", {}),
    ("GET", "/plain/x", {}),
    ("GET", "/", {"headers": {"user-agent": "Googlebot/2.1", "host": "other.example:8080"}}),
    ("GET", "/", {"headers": PARENT}),
    ("GET", "/docs", {}),
]


class Line(BaseModel):
    amount: int


async def text(request: Request) -> Response:
    return PlainTextResponse("x")


async def chunks(*, broken: bool) -> AsyncIterator[bytes]:
    yield b"a"
    if broken:
        raise ValueError("half-way")
    yield b"b"


def fastapi_app() -> FastAPI:
    app = FastAPI()
    router = APIRouter(prefix="/v1")

    @app.get("/")
    async def root() -> str:
        return "root"

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> int:
        return item_id

    @app.post("/orders/{order_id}/lines")
    async def lines(order_id: int, line: Line) -> int:
        return order_id + line.amount

    @app.get("/fails/{status}")
    async def fails(status: int) -> None:
        raise HTTPException(status, "on purpose")

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("not on purpose")

    @app.get("/stream")
    async def stream(*, broken: bool = False) -> StreamingResponse:
        return StreamingResponse(chunks(broken=broken))

    @router.get("/things/{thing}")
    async def thing(thing: int) -> int:
        return thing

    app.include_router(router, prefix="/api")
    app.mount("/mounted", Starlette(routes=[Route("/inner/{x}", text)]))
    app.router.routes.append(Route("/plain/{x}", text))
    return app


def starlette_app() -> Starlette:
    return Starlette(
        routes=[
            Route("/", text),
            Route("/items/{item_id:int}", text),
            Mount("/mounted", routes=[Route("/inner/{x}", text)]),
            Host("other.example", Starlette(routes=[Route("/", text)])),
        ]
    )


async def spans_of(
    harness: Harness, app: Starlette, requests: Reqs, **telemetry: Any
) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    instrumented = harness.instrument(app, **telemetry)
    assert instrumented._provider is not None
    instrumented._provider.add_span_processor(SimpleSpanProcessor(exporter))
    found: list[ReadableSpan] = []
    async with harness.client(app) as client:
        for method, url, kwargs in requests:
            exporter.clear()
            await client.request(method, url, **kwargs)
            found += [s for s in exporter.get_finished_spans() if s.kind is SpanKind.SERVER]
    assert len(found) == len(requests)
    return found


def comparable(span: ReadableSpan) -> dict[str, Any]:
    context = span.get_span_context()
    assert context is not None
    return {
        "name": span.name,
        "kind": span.kind,
        "status": (span.status.status_code, span.status.description),
        "attributes": dict(span.attributes or {}),
        "exceptions": sorted({str((e.attributes or {})["exception.type"]) for e in span.events}),
        "parent": span.parent and (f"{span.parent.span_id:016x}", span.parent.is_remote),
        "state": context.trace_state.to_header(),
    }


@pytest.fixture(params=["", "database", "http", "http/dup"])
def conventions(request: pytest.FixtureRequest, select_conventions: Callable[[str], None]) -> str:
    mode = str(request.param)
    select_conventions(mode)
    return mode


@pytest.mark.parametrize("make", [fastapi_app, starlette_app])
async def test_native_spans_equal_those_of_the_instrumentation(
    new_harness: Callable[[str], Harness], conventions: str, make: Callable[[], Starlette]
) -> None:
    ours = await spans_of(new_harness("native"), make(), REQUESTS, tracing="native", sample_ratio=1)
    theirs = await spans_of(new_harness("otel"), make(), REQUESTS, tracing="opentelemetry")
    for request, native, otel in zip(REQUESTS, ours, theirs, strict=True):
        assert comparable(native) == comparable(otel), request
    assert {s.name for s in ours} >= {"GET /items/{item_id}", "GET"} or make is starlette_app
