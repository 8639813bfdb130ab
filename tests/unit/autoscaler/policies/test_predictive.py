"""Predictive scaling: the history from Prometheus, and the replicas for it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from support.samples.signals import CALM
from tidegate.autoscaler.live.history import (
    AHEAD,
    HistoryError,
    HistoryReader,
    expected_rate,
    parse,
    query,
)
from tidegate.autoscaler.live.signals import Reading
from tidegate.autoscaler.policies.predictive import AHEAD_SECONDS
from tidegate.autoscaler.policy_builder import build_policy
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.simulator.comparison import TraceSpec, run_one
from tidegate.autoscaler.simulator.named_traces import find_trace
from tidegate.autoscaler.simulator.score import score
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.simulator.traces import Trace
from tidegate.autoscaler.types import Bounds

CONTEXT = PolicyContext(Bounds(1, 20), slo_seconds=0.6)
DECIDE = build_policy("predictive", CONTEXT).policy
SLOQ = build_policy("sloq", CONTEXT).policy


def test_the_rate_of_earlier_days_is_prepared_for() -> None:
    found = DECIDE({}, replace(CALM, expected_rate=100.0), 5.0)
    # As many as SLOQ wants once they are there, if enough replicas are, so that no queue has to be expected.
    busy = replace(CALM, arrival_rate=100.0, arrival_rate_60s=100.0, ready=20, running=20)
    there = SLOQ({}, busy, 5.0)
    assert (found.desired, found.reason) == (there.desired, "up")
    assert found.explanation.startswith(
        f"1 → {found.desired}: 100 requests/s are expected within 5 min, as on earlier days; else 2 ("
    )
    assert found.inputs["expected_rate"] == 100.0


@pytest.mark.parametrize(
    ("current", "reason", "begins"), [(6, "up", "6 → 7"), (7, "stabilized", "7 held"), (8, "hold", "8 held")]
)  # fmt: skip
def test_the_effect_of_the_forecast_is_explained(current: int, reason: str, begins: str) -> None:
    seen = replace(CALM, expected_rate=100.0, desired=current, ready=current, running=current)
    decision = DECIDE({"targets": [[4.0, 4.0 * current]]}, seen, 5.0)
    assert decision.explanation.startswith(begins)
    assert decision.reason in {reason, "stabilized"}


@pytest.mark.parametrize("rate", [None, math.nan, math.inf, -1.0, 0.0, 5.0])
def test_a_missing_or_small_forecast_changes_nothing(rate: float | None) -> None:
    found, plain = DECIDE({}, replace(CALM, expected_rate=rate), 5.0), SLOQ({}, CALM, 5.0)
    assert (found.desired, found.explanation) == (plain.desired, plain.explanation)
    assert found.state == plain.state


def test_without_signals_or_benefit_the_forecast_is_ignored() -> None:
    blind = DECIDE({}, replace(CALM, expected_rate=100.0, arrival_rate=None), 5.0)
    assert (blind.desired, blind.reason) == (1, "no-signal")
    slow = replace(CALM, expected_rate=100.0, service_seconds=0.7, service_seconds_p95=0.9)
    broken = DECIDE({}, slow, 5.0)
    assert broken.inputs["expected_replicas"] is None


@given(st.none() | st.floats(), st.floats(0, 500), st.integers(1, 20))
def test_a_forecast_only_ever_adds_within_the_bounds(
    expected: float | None, rate: float, current: int
) -> None:
    seen = replace(CALM, arrival_rate=rate, desired=current, ready=current, running=current)
    plain, found = SLOQ({}, seen, 5.0), DECIDE({}, replace(seen, expected_rate=expected), 5.0)
    assert plain.desired <= found.desired <= 20


def test_a_daily_rise_causes_no_violation() -> None:
    spec = TraceSpec("spike")
    ours, without = (
        score(run_one(words, spec, System(), 0), 0.6) for words in ("predictive", "sloq")
    )
    assert ours.violation_seconds < 0.5 * without.violation_seconds
    assert ours.replica_seconds < 1.25 * without.replica_seconds


def test_a_trace_expects_the_median_of_its_earlier_days() -> None:
    days = tuple(np.array(rates) for rates in ([1.0, 5.0, 2.0], [2.0, 9.0, 3.0], [4.0, 7.0]))
    trace = Trace("three", 60.0, np.array([1.0, 2.0, 8.0]), earlier=days)
    assert trace.expected_rate(0.0, 60.0) == 2.0
    assert trace.expected_rate(30.0, 60.0) == 7.0
    assert trace.expected_rate(120.0, 60.0) == 2.5
    assert trace.expected_rate(600.0, 60.0) is None
    assert trace.with_peak(16.0).expected_rate(0.0, 60.0) == 4.0


def test_a_trace_of_several_days_expects_what_it_had() -> None:
    trace = Trace("days", 43_200.0, np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    expected = [trace.expected_rate(43_200.0 * number, 60.0) for number in range(5)]
    assert expected == [None, None, 1.0, 2.0, 2.0]


def test_the_flights_trace_has_the_week_before() -> None:
    trace = find_trace("flights")
    assert len(trace.earlier) == 7
    noon = trace.expected_rate(12 * 3600.0, 300.0)
    assert noon is not None
    assert 0.2 * trace.rates.max() < noon < trace.rates.max()


def test_the_query_covers_the_minutes_before_and_ahead_on_each_day() -> None:
    windows = re.findall(r"(avg|max)_over_time\([\w:]+\[(\d+)s\](?: offset (\d+)s)?\)", query())
    assert windows[:3] == [("avg", "3600", ""), ("max", "300", ""), ("avg", "3600", "86400")]
    assert ("max", "300", "86100") in windows
    assert len(windows) == 2 + 7 * (2 + len(AHEAD))


def response(series: dict[tuple[Any, str], str]) -> bytes:
    result = [
        {"metric": {"day": str(day), "rate": rate}, "value": [1, value]}
        for (day, rate), value in series.items()
    ]
    return json.dumps({"status": "success", "data": {"result": result}}).encode()


TODAY = {(0, "level"): "6", (0, "recent"): "8"}
YESTERDAY = {(1, "level"): "2", (1, "recent"): "3"} | {(1, rate): "7.50001" for rate in AHEAD}
DAY = (2.0, 3.0, *[7.5] * len(AHEAD))
BEFORE = ((),) * 6


@pytest.mark.parametrize(
    ("series", "rates"),
    [
        ({}, ()),
        (TODAY, ()),
        (TODAY | YESTERDAY, ((6.0, 8.0), DAY, *BEFORE)),
        (YESTERDAY, ((), DAY, *BEFORE)),
        # A day is known as a whole, or not.
        (TODAY | YESTERDAY | {(3, "level"): "1"}, ((6.0, 8.0), DAY, *BEFORE)),
    ],
)
def test_a_response_has_the_rates_of_the_days_that_are_known(
    series: dict[tuple[Any, str], str], rates: tuple[tuple[float, ...], ...]
) -> None:
    assert parse(response(series)) == rates
    assert expected_rate(rates) == (7.5 if rates else None)


@pytest.mark.parametrize(
    "body",
    [
        *(response(TODAY | {(1, "level"): bad}) for bad in ("NaN", "+Inf", "-1")),
        response({(8, "level"): "1"}),
        response({("", "level"): "1"}),
        b'{"status":"success","data":{"result":[{"metric":{},"value":[1,"7.5"]}]}}',
        b'{"status":"error"}',
        b"\xff",
    ],
)
def test_an_impossible_response_is_an_error(body: bytes) -> None:
    with pytest.raises(HistoryError, match="Prometheus"):
        parse(body)


@given(st.binary(max_size=80))
def test_any_invalid_bytes_are_an_error(body: bytes) -> None:
    with pytest.raises(HistoryError):
        parse(body)


Ask = Callable[[], Awaitable[Reading]]


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
        prometheus.asked.append(str((await request.post())["query"]))
        if prometheus.status != 200:
            return web.json_response({"status": "error"}, status=prometheus.status)
        body = response(TODAY | YESTERDAY)
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/api/v1/query", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    prometheus.url = f"http://127.0.0.1:{port}/"
    yield prometheus
    await runner.cleanup()


async def test_the_history_is_queried_every_15_seconds(served: Prometheus) -> None:
    clock = iter([0.0, 5.0, 14.9, 15.0])

    async def inner() -> Reading:
        return Reading(arrival_rate=1.0)

    async with aiohttp.ClientSession() as session:
        reader = HistoryReader(served.url, session, inner, lambda: next(clock))
        found = [await reader.read() for _ in range(4)]
    read = Reading(arrival_rate=1.0, expected_rate=7.5, daily_rates=((6.0, 8.0), DAY, *BEFORE))
    assert found == [read] * 4
    assert served.asked == [query(), query()]


async def test_without_a_history_there_is_no_expected_rate_and_no_signal_problem() -> None:
    async def inner() -> Reading:
        return Reading(arrival_rate=1.0)

    async with aiohttp.ClientSession() as session:
        reader = HistoryReader("http://127.0.0.1:9", session, inner, lambda: 0.0)
        reading = await reader.read()
    assert (reading.problem, reading.arrival_rate, reading.expected_rate) == ("", 1.0, None)
    assert reading.history_problem.endswith("; no rate is expected")


async def test_a_failed_query_keeps_the_last_history_until_its_minutes_are_over(
    served: Prometheus,
) -> None:
    async def inner() -> Reading:
        return Reading(arrival_rate=1.0)

    now = 0.0
    async with aiohttp.ClientSession() as session:
        reader = HistoryReader(served.url, session, inner, lambda: now)

        async def read_history(at: float) -> tuple[float | None, str]:
            nonlocal now
            now = at
            reading = await reader.read()
            return reading.expected_rate, reading.history_problem

        assert await read_history(0) == (7.5, "")
        served.status = 503
        kept = (7.5, "the response of Prometheus is invalid; the last rates are kept")
        assert await read_history(14) == (7.5, "")
        assert await read_history(15) == kept
        assert await read_history(AHEAD_SECONDS - 1) == kept
        assert await read_history(AHEAD_SECONDS) == (
            None,
            "the response of Prometheus is invalid; no rate is expected",
        )
        # It is asked again at each tick.
        served.status = 200
        assert await read_history(AHEAD_SECONDS + 5) == (7.5, "")
