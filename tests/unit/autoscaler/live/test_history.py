"""The rates of earlier days, read from Prometheus."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from support.doubles.aiohttp_server import answering
from support.harnesses.autoscaler_run import reading_of
from tidegate.autoscaler.live.history import (
    AHEAD,
    HistoryReader,
    query,
    rates_from,
)
from tidegate.autoscaler.live.signals import Reading
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.prometheus import parse


def response(series: dict[tuple[Any, str], str]) -> bytes:
    result = [
        {"metric": {"day": str(day), "rate": rate}, "value": [1, value]}
        for (day, rate), value in series.items()
    ]
    return json.dumps({"status": "success", "data": {"result": result}}).encode()


TODAY = {(0, "level"): "6", (0, "recent"): "8"}
YESTERDAY = {(1, "level"): "2", (1, "recent"): "3"} | {(1, rate): "7.50001" for rate in AHEAD}
DAY = (2.0, 3.0, *[7.5] * len(AHEAD))
RATES = ((6.0, 8.0), DAY, *[()] * 6)


@pytest.mark.parametrize(
    ("series", "rates"),
    [
        ({}, ()),
        (TODAY, ()),
        (TODAY | YESTERDAY, RATES),
        (YESTERDAY, ((), *RATES[1:])),
        # A day is known as a whole, or not.
        (TODAY | YESTERDAY | {(3, "level"): "1"}, RATES),
    ],
)
def test_a_response_has_the_rates_of_the_days_that_are_known(
    series: dict[tuple[Any, str], str], rates: tuple[tuple[float, ...], ...]
) -> None:
    assert rates_from(parse(response(series))) == rates


@pytest.mark.parametrize(
    "body",
    [
        *(response(TODAY | {(1, "level"): bad}) for bad in ("NaN", "+Inf", "-1")),
        response({(8, "level"): "1"}),
        response({("", "level"): "1"}),
        b'{"status":"success","data":{"result":[{"metric":{},"value":[1,"7.5"]}]}}',
        b'{"status":"success","data":{"result":[{"metric":{"day":"1"}}]}}',
    ],
)
def test_an_impossible_response_is_an_error(body: bytes) -> None:
    with pytest.raises(HttpError, match="Prometheus"):
        rates_from(parse(body))


@dataclass
class Prometheus:
    """Answers with yesterday's rates, or fails with another status, and knows what it was asked."""

    url: str = ""
    status: int = 200
    asked: list[str] = field(default_factory=list)


@pytest.fixture
async def served() -> AsyncIterator[Prometheus]:
    prometheus = Prometheus()

    async def answer(request: web.Request) -> web.Response:
        assert (request.method, request.path) == ("POST", "/api/v1/query")
        prometheus.asked.append(str((await request.post())["query"]))
        if prometheus.status != 200:
            return web.json_response({"status": "error"}, status=prometheus.status)
        body = response(TODAY | YESTERDAY)
        return web.Response(body=body, content_type="application/json")

    async with answering(answer) as url:
        prometheus.url = f"{url}/"
        yield prometheus


def reader(url: str, session: aiohttp.ClientSession, clock: Callable[[], float]) -> HistoryReader:
    async def inner() -> Reading:
        return reading_of(arrival_rate=1.0)

    return HistoryReader(url, session, inner, clock)


async def test_the_history_is_queried_every_15_seconds(served: Prometheus) -> None:
    clock = iter([0.0, 5.0, 14.9, 15.0])
    async with aiohttp.ClientSession() as session:
        history = reader(served.url, session, lambda: next(clock))
        found = [await history.read() for _ in range(4)]
    assert found == [reading_of(arrival_rate=1.0, daily_rates=RATES)] * 4
    assert served.asked == [query(), query()]


async def test_after_a_failed_query_no_rise_is_expected_until_one_is_answered(
    served: Prometheus,
) -> None:
    now = 0.0
    async with aiohttp.ClientSession() as session:
        history = reader(served.url, session, lambda: now)
        found = []
        # It is asked again at each tick.
        for at, status in ((0.0, 200), (14.0, 503), (15.0, 503), (20.0, 200)):
            now, served.status = at, status
            reading = await history.read()
            assert (reading.signals.arrival_rate, reading.signals.problem) == (1.0, "")
            found.append((reading.signals.daily_rates, reading.history_problem))
    failed = (
        f"Prometheus at {served.url}api/v1/query responded with status 503; no rise is expected"
    )
    assert found == [(RATES, ""), (RATES, ""), ((), failed), (RATES, "")]
