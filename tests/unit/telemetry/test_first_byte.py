"""The time to the first byte of a stream: metric, event and which traces are slow."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse

from support.harnesses.telemetry_harness import Harness
from tidegate.settings import Settings
from tidegate.telemetry import TelemetryMiddleware
from tidegate.telemetry.telemetry import Telemetry

FIRST_MS, REST_MS = 200, 20_000


def streaming_app(harness: Harness, begun: list[list[float]] | None = None) -> FastAPI:
    """Streams for 20 s on the clock of the test, and begins after 0.2 s; then it notes the metric."""
    app = FastAPI()

    async def pieces() -> AsyncIterator[bytes]:
        harness.clock.advance_ms(FIRST_MS)
        yield b""  # no byte yet
        yield b"first"
        if begun is not None:
            begun.append(measured(harness.telemetries[-1]))
        for _ in range(4):
            harness.clock.advance_ms(REST_MS / 4)
            yield b"more"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(pieces())

    @app.get("/empty")
    async def empty() -> Response:
        harness.clock.advance_ms(FIRST_MS)
        return Response(status_code=204)

    @app.get("/broken")
    async def broken() -> None:
        harness.clock.advance_ms(FIRST_MS)
        raise ValueError("no way")

    return app


def telemetry(harness: Harness, until: str) -> Telemetry:
    settings = Settings(
        service={"name": "shop", "node_name": "shop-1"},
        stack={"data_dir": harness.folder},
        slo={"latency_seconds": 0.5, "until": until},
        telemetry={"sample_ratio": 0},
    )
    created = Telemetry(settings, clock=harness.clock.as_clock(), ids=harness.ids)
    harness.telemetries.append(created)
    return created


def sums(of: Telemetry, name: str, **labels: str) -> list[float]:
    samples = (sample for family in of.registry.collect() for sample in family.samples)
    return [
        sample.value
        for sample in samples
        if sample.name == f"{name}_sum" and labels.items() <= sample.labels.items()
    ]


def measured(of: Telemetry) -> list[float]:
    return sums(of, "tidegate_first_byte_seconds", http_route="/stream")


@pytest.mark.parametrize("until", ["last_byte", "first_byte"])
async def test_a_stream_is_measured_to_the_byte_of_the_setting(
    harness: Harness, until: str
) -> None:
    own, begun = telemetry(harness, until), list[list[float]]()
    async with harness.client(TelemetryMiddleware(streaming_app(harness, begun), own)) as client:
        assert (await client.get("/stream")).content == b"first" + b"more" * 4
    event = harness.event("request")
    assert event["event"]["duration"] == (FIRST_MS + REST_MS) * 1_000_000
    assert sums(own, "http_server_request_duration_seconds") == [20.2]
    first_byte = until == "first_byte"
    assert event["tidegate"].get("first_byte_ns") == (FIRST_MS * 1_000_000 if first_byte else None)
    # The metric does not wait for the end of the stream.
    assert begun == [measured(own)] == [[0.2] if first_byte else []]
    # With an objective for the first byte, a stream that begins within it is not slow, so it has no spans.
    assert bool(harness.events("span")) is not first_byte


async def test_a_stream_that_begins_late_is_slow(harness: Harness) -> None:
    app = TelemetryMiddleware(streaming_app(harness), telemetry(harness, "first_byte"))
    late = {"x-request-start": f"t={(harness.clock.now_ns - 400_000_000) // 1000}"}
    async with harness.client(app) as client:
        await client.get("/stream", headers=late)
    assert harness.event("request")["tidegate"]["first_byte_ns"] == 600_000_000
    assert {event["span"]["name"] for event in harness.events("span")} >= {"GET /stream"}


async def test_without_a_body_or_with_an_exception_a_response_counts_to_its_end(
    harness: Harness,
) -> None:
    own = telemetry(harness, "first_byte")
    async with harness.client(TelemetryMiddleware(streaming_app(harness), own)) as client:
        for route in ("/empty", "/broken"):
            await client.get(route)
            assert sums(own, "tidegate_first_byte_seconds", http_route=route) == [0.2]
