"""Signals from the responses of Prometheus."""

import math
from dataclasses import replace
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from support.doubles.aiohttp_server import answering
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

NOW = 5000.0
STALE = 15.0
IN_SYSTEM = SERIES["in_system"]
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


STATUS = ReplicaStatus(desired=3, running=3, ready=3, replicas=[])


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


def read(values: dict[str, Any], ages: dict[str, float] | None = None) -> Reading:
    return reading_from(parse(answer(values, ages)), NOW, STALE)


def but(**changes: float | str | None) -> dict[str, Any]:
    """All series with changes for these signals; None removes one."""
    named = {SERIES[signal]: value for signal, value in changes.items()}
    return {name: value for name, value in {**ALL, **named}.items() if value is not None}


def test_every_signal_is_read_and_the_age_is_that_of_the_scrape_and_of_the_rule() -> None:
    # The scrape was 1.5 s old when the rule was evaluated, and that was 1 s ago.
    assert read(ALL) == GOOD


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
    reading = read(but(**changes))
    assert getattr(reading.signals, signal) is None
    assert reading.signals.problem.endswith(problem)
    assert bool(reading.signals.problem) == bool(problem)


ZERO = dict.fromkeys(
    ("in_system", "in_system_60s", "busy", "busiest", "queued", "arrival_rate", "arrival_rate_60s"),
    0,
)


def test_a_service_without_a_single_request_is_no_problem() -> None:
    nan = dict.fromkeys(("service_seconds", "service_seconds_15s", "service_seconds_p95"), "NaN")
    idle = but(**ZERO, completed_rate=0, **nan, latency_seconds=None)
    expected = reading_of(**ZERO, completed_rate=0, slots_per_replica=2, age_seconds=2.5)
    assert read(idle) == expected


def test_old_scrapes_leave_no_value_but_the_age() -> None:
    said = "the metrics behind the signals are older than 15 s"
    old = reading_of(age_seconds=15.5, problem=said)
    assert read(but(scrape_age=14.5)) == replace(old, problems={said: []})


def test_without_a_replica_missing_series_of_replicas_are_no_problem() -> None:
    reported = ("service:arrival_rate:15s", "service:arrival_rate:1m", "service:queue:now")
    gateway = {name: ALL[name] for name in reported}
    reading = read({**gateway, "service:gateway_age_seconds:now": 2.0})
    assert reading.signals.problem.count("service:") == 4
    assert reading.without_replicas().signals.problem == ""
    # 2 s old when the rule was evaluated, and that was 1 s ago.
    seen = reading.signals
    assert (seen.gateway_age_seconds, seen.queued, seen.age_seconds) == (3.0, 1.0, None)
    lost = read({}).without_replicas()
    assert lost.signals.problem == f"no sample within the last 15 s: {', '.join(reported)}"


@pytest.mark.parametrize(
    ("ages", "seen", "problem"),
    [
        ({IN_SYSTEM: 15.5}, {"in_system": None}, f"no sample within the last 15 s: {IN_SYSTEM}"),
        # The age is that of the oldest series.
        ({IN_SYSTEM: 9.0}, {"age_seconds": 9.0 + 1.5}, ""),
        # An old latency is ignored and no problem.
        ({SERIES["latency_seconds"]: 16.0}, {"latency_seconds": None}, ""),
        # A sample may be slightly in the future.
        (dict.fromkeys(ALL, -0.5), {"age_seconds": 1.5}, ""),
        (
            *({SERIES["scrape_age"]: -60.0}, {"age_seconds": None}),
            f"sample from the future: the clocks differ: {SERIES['scrape_age']}",
        ),
    ],
)
def test_each_series_has_its_age(
    ages: dict[str, float], seen: dict[str, float | None], problem: str
) -> None:
    signals = read(ALL, ages).signals
    assert {name: getattr(signals, name) for name in seen} == seen
    assert problem in signals.problem
    assert bool(problem) == bool(signals.problem)


def test_two_series_of_one_name_are_a_problem() -> None:
    twice = [*parse(answer(ALL)), *parse(answer({IN_SYSTEM: 99}))]
    signals = reading_from(twice, NOW, STALE).signals
    assert (signals.in_system, signals.problem) == (None, f"several series: {IN_SYSTEM}")


def test_of_two_series_of_one_name_the_newer_counts() -> None:
    ended = parse(answer({IN_SYSTEM: 99}, {IN_SYSTEM: 8.0}))
    assert reading_from([*parse(answer(ALL)), *ended], NOW, STALE) == GOOD


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


@pytest.mark.parametrize(
    ("reading", "status", "problem", "counts", "said"),
    [
        (GOOD, STATUS, "", (3, 3, 4), ""),
        # A replica that the gateway ejects runs but is not ready.
        (replace(GOOD, ejected=1.0), STATUS, "", (2, 3, 4), ""),
        # Without the resizer no replica is known to be running.
        (reading_of(problem="a"), None, "b", (0, 0, 4), "a; b"),
    ],
)
def test_the_signals_include_the_counts_of_the_resizer(
    reading: Reading,
    status: ReplicaStatus | None,
    problem: str,
    counts: tuple[int, int, int],
    said: str,
) -> None:
    signals = combine(reading, status, 4, problem)
    assert (signals.ready, signals.running, signals.desired) == counts
    assert (signals.in_system, signals.problem) == (reading.signals.in_system, said)


async def test_one_query_reads_everything() -> None:
    asked = []

    async def respond(request: web.Request) -> web.Response:
        asked.append((request.path, request.query["query"]))
        return web.Response(body=answer(ALL))

    async with answering(respond) as url, aiohttp.ClientSession() as session:
        reader = PrometheusReader(f"{url}/prefix/", session, STALE, 5.0, clock=lambda: NOW)
        assert await reader.read() == GOOD
    assert asked == [("/prefix/api/v1/query", query(STALE))]


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
