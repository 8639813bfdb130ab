"""Responses that are streams, from a real server."""

from __future__ import annotations

import asyncio
import math

import pytest
from aiohttp import web
from yarl import URL

from support.doubles.aiohttp_server import serving
from support.samples.load_run import recorded, summary_of
from tidegate.loadgen.plan.plan import PlannedRequest
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.series import run_series
from tidegate.loadgen.report.thresholds import parse_threshold
from tidegate.loadgen.send.record import Recording
from tidegate.loadgen.send.sender import Limits, OpenLoop, Target


def test_the_first_byte_of_a_stream_is_recorded_when_it_arrives() -> None:
    plan = [PlannedRequest(0.0, "light", 0)]
    recording = Recording.of(plan)

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        async with asyncio.timeout(30):  # the rest is sent once the first byte is known
            while math.isnan(recording.first_byte[0]):  # noqa: ASYNC110 (another thread sets it)
                await asyncio.sleep(0.002)
        await response.write(b"last")
        return response

    app = web.Application()
    app.router.add_get("/stream", stream)
    with serving(app) as url:
        target = Target(URL(f"{url}/stream"), method="GET")
        sender = OpenLoop(plan, {"light": target}, recording, Limits())
        asyncio.run(sender.run())
    assert recording.answered.all()
    assert recording.sent[0] < recording.first_byte[0] < recording.finished[0]


@pytest.mark.parametrize(("until", "p95"), [("first-byte", 0.05), ("last-byte", 2.0)])
def test_thresholds_and_plots_use_the_byte_that_is_asked_for_and_both_are_reported(
    until: str, p95: float
) -> None:
    recording = recorded()
    recording.first_byte[:] = recording.planned + 0.05
    recording.until = until  # type: ignore[assignment]
    summary = summary_of(recording, until=until)
    assert summary.response_p95_seconds == p95
    assert (summary.first_byte_p95_seconds, summary.last_byte_p95_seconds) == (0.05, 2.0)
    assert parse_threshold("p95<500ms").evaluate(summary).passed is (until == "first-byte")
    series = run_series(summary, recording, Signals())
    assert series.until == until
    assert bool(series.breaches) is (until == "last-byte")
