"""The trace of the recorded arrival rate, from a server that answers as Prometheus does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tidegate.lab.simulator.traces import TraceError
from tidegate.lab.tuning.recorded_rates import recorded_trace
from tidegate.runtime.http_client import HttpError

Answer = Callable[[dict[str, str]], Any]


@pytest.fixture
async def prometheus() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """A server, and what it answers: `answer` makes the result of a form."""
    told: dict[str, Any] = {"asked": []}

    async def query_range(request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in request.query.items()}
        told["asked"].append(form)
        return web.Response(text=told["answer"](form), status=told.get("status", 200))

    application = web.Application()
    application.router.add_get("/api/v1/query_range", query_range)
    server = TestServer(application)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/"), told
    await server.close()


def matrix(*values: tuple[float, str], series: int = 1) -> str:
    result = [{"metric": {}, "values": values}] * series if values else []
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


async def test_rates_by_minute_with_gaps_as_silence(prometheus: Any) -> None:
    url, told = prometheus
    told["answer"] = lambda form: matrix((1060, "5"), (1120, "NaN"), (1240, "20"))
    trace, missing = await recorded_trace(url, 1000, 1300)
    # Recording began at 1060.
    assert trace.rates.tolist() == [5.0, 0.0, 0.0, 20.0]
    assert (trace.interval_seconds, missing) == (60.0, 2)


async def test_a_long_time_is_asked_in_parts_that_prometheus_allows(prometheus: Any) -> None:
    url, told = prometheus
    told["answer"] = lambda form: matrix((float(form["start"]), "1"))
    trace, _ = await recorded_trace(url, 0, 14 * 86_400)
    points = [
        (float(form["end"]) - float(form["start"])) / float(form["step"]) + 1
        for form in told["asked"]
    ]
    assert sum(points) == len(trace.rates) == 14 * 1440
    assert max(points) <= 11_000


@pytest.mark.parametrize(
    ("answer", "status", "error", "words"),
    [
        (matrix(), 200, HttpError, "has no service:arrival_rate:1m"),
        ("oops", 200, HttpError, "is invalid"),
        ("too many", 422, HttpError, "status 422"),
        (matrix((1000, "1"), series=2), 200, HttpError, "has 2 series"),
        (matrix((1000, "0")), 200, TraceError, "0 requests in that time"),
        (matrix((1000, "1e9")), 200, TraceError, "use another time"),
    ],
)
async def test_what_cannot_be_used_is_said(
    prometheus: Any, answer: str, status: int, error: type[Exception], words: str
) -> None:
    url, told = prometheus
    told.update(answer=lambda form: answer, status=status)
    with pytest.raises(error, match=words):
        await recorded_trace(url, 1000, 1300)
