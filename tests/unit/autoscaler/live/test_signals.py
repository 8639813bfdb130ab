"""Signals from the responses of Prometheus."""

import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from support.harnesses.autoscaler_run import reading_of
from support.ports import free_port
from tidegate.autoscaler.live.signals import (
    SERIES,
    PrometheusReader,
    Reading,
    combine,
    query,
    reading_from,
)
from tidegate.autoscaler.types import Signals
from tidegate.resizer.contract import ReplicaStatus
from tidegate.runtime.prometheus import Series, parse

ROOT = Path(__file__).parents[4]
NOW = 5000.0
STALE = 15.0
ALL = {
    "service:arrival_rate:15s": 30.0,
    "service:arrival_rate:1m": 25.0,
    "service:completed_rate:15s": 28.0,
    "service:slot_seconds_mean:1m": 0.103,
    "service:slot_seconds_mean:15s": 0.11,
    "service:slot_objective_seconds_p95:1m": 0.19,
    "service:slots_busy:now": 3.0,
    "service:slots_busy_most:1m": 2.0,
    "service:queue:now": 1.0,
    "service:requests_in_system:now": 4.0,
    "service:requests_in_system:1m": 3.5,
    "service:slots_per_replica:now": 2.0,
    "service:latency_objective_quantile_seconds:1m": 0.4,
    "service:signal_age_seconds:now": 1.5,
}
GOOD = reading_of(
    arrival_rate=30.0,
    arrival_rate_60s=25.0,
    completed_rate=28.0,
    in_system_60s=3.5,
    service_seconds_15s=0.11,
    service_seconds=0.103,
    service_seconds_p95=0.19,
    in_system=4.0,
    busy=3.0,
    queued=1.0,
    busiest=2.0,
    slots_per_replica=2,
    latency_seconds=0.4,
    age_seconds=2.5,
)


def answer(values: dict[str, Any], ages: dict[str, float] | None = None) -> bytes:
    """A response of Prometheus: each series has an older sample, too; the newest is 1 s old."""
    result = [
        {
            "metric": {"__name__": name},
            "values": [[0, "7"], [NOW - (ages or {}).get(name, 1.0), str(value)]],
        }
        for name, value in values.items()
    ]
    return orjson.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def but(**changes: float | str | None) -> dict[str, Any]:
    """All series with changes for these signals; None removes one."""
    named = {SERIES[signal]: value for signal, value in changes.items()}
    return {name: value for name, value in {**ALL, **named}.items() if value is not None}


def test_every_signal_is_read_and_the_age_is_that_of_the_scrape_and_of_the_rule() -> None:
    # The scrape was 1.5 s old when the rule was evaluated, and that was 1 s ago.
    assert reading_from(parse(answer(ALL)), NOW, STALE) == GOOD


@pytest.mark.parametrize(
    ("changes", "signal", "problem"),
    [
        ({"in_system": None}, "in_system", "no sample within the last 15 s: service:requests_in_system:now"),
        ({"in_system": "NaN"}, "in_system", "not a number: service:requests_in_system:now"),
        ({"in_system": "+Inf"}, "in_system", "not a number: service:requests_in_system:now"),
        ({"in_system": "-Inf"}, "in_system", "not a number: service:requests_in_system:now"),
        ({"in_system": -1}, "in_system", "impossible value: service:requests_in_system:now"),
        ({"slots_per_replica": 0}, "slots_per_replica", "impossible value: service:slots_per_replica:now"),
        (
            {"slots_per_replica": 1e300},
            "slots_per_replica",
            "impossible value: service:slots_per_replica:now",
        ),
        ({"arrival_rate": None}, "arrival_rate", "no sample within the last 15 s: service:arrival_rate:15s"),
        (
            {"scrape_age": None},
            "age_seconds",
            "no sample within the last 15 s: service:signal_age_seconds:now",
        ),
        ({"scrape_age": "NaN"}, "age_seconds", "not a number: service:signal_age_seconds:now"),
        ({"busiest": None}, "busiest", ""),
        ({"completed_rate": None}, "completed_rate", ""),
        ({"service_seconds": None}, "service_seconds", ""),
        ({"service_seconds": "NaN"}, "service_seconds", ""),
        ({"latency_seconds": None}, "latency_seconds", ""),
        ({"latency_seconds": "NaN"}, "latency_seconds", ""),
    ],
)  # fmt: skip
def test_a_missing_or_invalid_value_is_none_and_a_required_series_is_named(
    changes: dict[str, Any], signal: str, problem: str
) -> None:
    reading = reading_from(parse(answer(but(**changes))), NOW, STALE)
    assert getattr(reading.signals, signal) is None
    assert reading.signals.problem.endswith(problem)
    assert bool(reading.signals.problem) == bool(problem)


def test_a_service_without_a_single_request_is_no_problem() -> None:
    idle = but(
        in_system=0,
        in_system_60s=0,
        busy=0,
        busiest=0,
        queued=0,
        arrival_rate=0,
        arrival_rate_60s=0,
        completed_rate=0,
        service_seconds="NaN",
        service_seconds_15s="NaN",
        service_seconds_p95="NaN",
        latency_seconds=None,
    )
    assert reading_from(parse(answer(idle)), NOW, STALE) == reading_of(
        arrival_rate=0,
        arrival_rate_60s=0,
        completed_rate=0,
        in_system=0,
        in_system_60s=0,
        busy=0,
        busiest=0,
        queued=0,
        slots_per_replica=2,
        age_seconds=2.5,
    )


def test_several_missing_series_are_all_named() -> None:
    reading = reading_from(parse(answer({})), NOW, STALE)
    assert reading.signals.problem.count("service:") == 7
    assert reading.cause == "no sample within the last 15 s"


def test_old_scrapes_leave_no_value_but_the_age() -> None:
    reading = reading_from(parse(answer(but(scrape_age=14.5))), NOW, STALE)
    said = "the metrics behind the signals are older than 15 s"
    read = reading_of(age_seconds=15.5, problem=said)
    assert reading == replace(read, problems={said: []})


def test_without_a_replica_missing_series_of_replicas_are_no_problem() -> None:
    reported = ("service:arrival_rate:15s", "service:arrival_rate:1m", "service:queue:now")
    gateway = {name: ALL[name] for name in reported}
    reading = reading_from(
        parse(answer({**gateway, "service:gateway_age_seconds:now": 2.0})), NOW, STALE
    )
    assert reading.signals.problem.count("service:") == 4
    assert reading.without_replicas().signals.problem == ""
    # 2 s old when the rule was evaluated, and that was 1 s ago.
    seen = reading.signals
    assert (seen.gateway_age_seconds, seen.queued, seen.age_seconds) == (3.0, 1.0, None)
    lost = reading_from(parse(answer({})), NOW, STALE).without_replicas()
    assert lost.signals.problem == f"no sample within the last 15 s: {', '.join(reported)}"


def test_a_series_whose_rule_is_no_longer_evaluated_is_stale() -> None:
    name = SERIES["in_system"]
    reading = reading_from(parse(answer(ALL, {name: 15.5})), NOW, STALE)
    assert reading.signals.in_system is None
    assert f"no sample within the last 15 s: {name}" in reading.signals.problem


def test_the_age_is_that_of_the_oldest_series() -> None:
    reading = reading_from(parse(answer(ALL, {SERIES["in_system"]: 9.0})), NOW, STALE)
    assert (reading.signals.age_seconds, reading.signals.problem) == (9.0 + 1.5, "")


def test_an_old_latency_is_ignored_and_no_problem() -> None:
    reading = reading_from(parse(answer(ALL, {SERIES["latency_seconds"]: 16.0})), NOW, STALE)
    assert (reading.signals.latency_seconds, reading.signals.problem) == (None, "")


def test_a_sample_slightly_in_the_future_is_accepted_and_one_far_ahead_is_a_problem() -> None:
    name = SERIES["scrape_age"]
    slightly = reading_from(parse(answer(ALL, dict.fromkeys(ALL, -0.5))), NOW, STALE)
    assert (slightly.signals.age_seconds, slightly.signals.problem) == (1.5, "")
    far = reading_from(parse(answer(ALL, {name: -60.0})), NOW, STALE)
    assert far.signals.age_seconds is None
    assert f"sample from the future: the clocks differ: {name}" in far.signals.problem


def test_two_series_of_one_name_are_a_problem() -> None:
    one = orjson.loads(answer(ALL))
    one["data"]["result"] += orjson.loads(answer({SERIES["in_system"]: 99}))["data"]["result"]
    reading = reading_from(parse(orjson.dumps(one)), NOW, STALE)
    assert reading.signals.in_system is None
    assert reading.signals.problem == "several series: service:requests_in_system:now"


def test_of_two_series_of_one_name_the_newer_counts() -> None:
    one = orjson.loads(answer(ALL))
    ended = orjson.loads(answer({SERIES["in_system"]: 99}, {SERIES["in_system"]: 8.0}))
    one["data"]["result"] += ended["data"]["result"]
    assert reading_from(parse(orjson.dumps(one)), NOW, STALE) == GOOD


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(SERIES.values())),
            st.floats() | st.floats(NOW - 30, NOW),
            st.floats(),
        ),
        max_size=8,
    )
)
def test_any_samples_give_a_reading_of_valid_numbers(
    samples: list[tuple[str, float, float]],
) -> None:
    series = [
        Series(metric={"__name__": name}, values=[(at, value)]) for name, at, value in samples
    ]
    reading = reading_from(series, NOW, STALE)
    seen = reading.signals
    for value in (seen.in_system, seen.arrival_rate, seen.age_seconds):
        assert value is None or (math.isfinite(value) and value >= 0)
    assert seen.problem or (seen.in_system is not None and seen.age_seconds is not None)


def test_the_query_covers_all_series_and_the_maximum_age() -> None:
    asked = query(1.5)
    assert all(name in asked for name in SERIES.values())
    assert asked.endswith("[1500ms]")


def test_every_series_read_is_a_recorded_one() -> None:
    rules = sorted((ROOT / "observability/prometheus/rules").glob("*.yml"))
    recorded = re.findall(r"record: *[\"']?([\w:]+)", "".join(path.read_text() for path in rules))
    assert set(SERIES.values()) <= set(recorded)


def test_the_signals_include_the_counts_of_the_resizer() -> None:
    status = ReplicaStatus(desired=3, running=3, ready=2, replicas=[])
    signals = combine(GOOD, status, 4, "")
    assert (signals.ready, signals.running, signals.desired) == (2, 3, 4)
    assert (signals.in_system, signals.age_seconds, signals.problem) == (4.0, 2.5, "")


def test_a_replica_that_the_gateway_ejects_runs_but_is_not_ready() -> None:
    status = ReplicaStatus(desired=3, running=3, ready=3, replicas=[])
    signals = combine(replace(GOOD, ejected=1.0), status, 3, "")
    assert (signals.ready, signals.running) == (2, 3)


def test_without_the_resizer_no_replica_is_known_to_be_running() -> None:
    signals = combine(reading_of(problem="a"), None, 4, "b")
    assert (signals.ready, signals.running, signals.desired) == (0, 0, 4)
    assert signals.problem == "a; b"


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler, patience: float = 5.0) -> AsyncIterator[PrometheusReader]:
    """A reader of a server that handles every query with `handler`."""
    app = web.Application()
    app.router.add_get("/prefix/api/v1/query", handler)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        url = str(server.make_url("/prefix/"))
        yield PrometheusReader(url, session, STALE, patience, clock=lambda: NOW)


async def test_one_query_reads_everything() -> None:
    asked = []

    async def answers(request: web.Request) -> web.Response:
        asked.append(request.query["query"])
        return web.Response(body=answer(ALL))

    async with served(answers) as reader:
        assert await reader.read() == GOOD
    assert asked == [query(STALE)]


async def test_an_unreachable_prometheus_is_a_problem() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with aiohttp.ClientSession() as session:
        reading = await PrometheusReader(url, session, STALE).read()
    problem = f"Prometheus at {url}/api/v1/query cannot be reached: connection refused"
    # The same cause for each error: an outage is logged once.
    assert reading == Reading(Signals(problem=problem), problems={"unavailable": ()})


@pytest.mark.parametrize("url", ["", "127.0.0.1:9090", "ftp://host", "http://", "http:// x"])
async def test_an_invalid_address_is_refused_at_once(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ValueError, match=r"is not http://HOST:PORT"):
            PrometheusReader(url, session, STALE)
