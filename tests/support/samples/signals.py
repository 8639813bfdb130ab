"""Signals of the autoscaler: fixed ones, and hypothesis strategies."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tidegate.autoscaler.types import Signals

# One replica without traffic.
IDLE = Signals(
    arrival_rate=0.0,
    service_seconds=None,
    in_system=0.0,
    slots_per_replica=2,
    ready=1,
    running=1,
    desired=1,
    latency_seconds=None,
    age_seconds=1.0,
    arrival_rate_60s=0.0,
    busy=0.0,
    queued=0.0,
    gateway_age_seconds=1.0,
    completed_rate=0.0,
)

# One replica that 10 requests/s occupy by half.
CALM = Signals(
    arrival_rate=10.0,
    service_seconds=0.2,
    in_system=2.0,
    slots_per_replica=4,
    ready=1,
    running=1,
    desired=1,
    latency_seconds=0.4,
    age_seconds=1.0,
    arrival_rate_60s=10.0,
    service_seconds_p95=0.46,
    busy=2.0,
    queued=0.0,
    completed_rate=10.0,
)

# The fields that come from Prometheus.
MEASURED = (
    "arrival_rate",
    "arrival_rate_60s",
    "service_seconds",
    "service_seconds_p95",
    "in_system",
    "busy",
    "queued",
    "latency_seconds",
    "age_seconds",
    "completed_rate",
)

# Hypothesis seldom draws them; products and quotients of them are 0 or infinite.
DENORMAL = st.sampled_from([math.ulp(0.0), 1e-310])
ANY_NUMBER = st.none() | st.floats() | st.floats(0, 500) | DENORMAL
VALID_NUMBER = st.floats(0, 500) | DENORMAL
# Of some days, with and without all of their rates; see `daily_rise.Rates`.
ANY_DAYS = st.lists(st.lists(st.floats(0, 500), min_size=8, max_size=8), max_size=8) | st.lists(
    st.lists(st.floats(), max_size=9), max_size=8
)


def signals(number: st.SearchStrategy[Any], slots: st.SearchStrategy[Any]) -> Any:
    seconds = st.none() | DENORMAL | number.map(lambda value: value and value / 100)
    return st.builds(
        Signals,
        arrival_rate=number,
        service_seconds=seconds,
        in_system=number,
        slots_per_replica=slots,
        ready=st.integers(-1, 60),
        running=st.integers(-1, 60),
        desired=st.integers(-5, 60),
        latency_seconds=st.none() | number,
        age_seconds=number,
        problem=st.sampled_from(["", "Prometheus is away"]),
        arrival_rate_60s=st.none() | number,
        service_seconds_p95=seconds,
        service_seconds_15s=seconds,
        busy=st.none() | number,
        busiest=st.none() | number,
        queued=st.none() | number,
        unix_seconds=st.none() | st.floats(0, 4e9),
        waiting=st.none() | number,
        gateway_age_seconds=st.none() | number,
        completed_rate=st.none() | number,
        daily_rates=ANY_DAYS,
        gateway_arrivals=st.none() | number,
        gateway_seconds=st.none() | number,
        gateway_queued=st.none() | number,
        gateway_dispersion=st.none() | number,
        startups=st.lists(st.floats() | st.floats(0, 60), max_size=3),
        between=st.booleans(),
    )


ANY_SIGNALS = signals(ANY_NUMBER, st.none() | st.integers(-3, 300))
VALID_SIGNALS = signals(VALID_NUMBER, st.integers(1, 16)).map(
    lambda seen: replace(
        seen, age_seconds=1.0, ready=max(1, seen.ready), running=max(1, seen.running)
    )
)

# The policy cannot decide on these.
BAD_SIGNALS: dict[str, dict[str, Any]] = {
    "no arrival rate": {"arrival_rate": None},
    "a rate that is not a number": {"arrival_rate": math.nan},
    "a negative rate": {"arrival_rate": -1.0},
    "an infinite rate": {"arrival_rate": math.inf},
    "no slots": {"slots_per_replica": None},
    "zero slots": {"slots_per_replica": 0},
    "no age": {"age_seconds": None},
    "an age that is not a number": {"age_seconds": math.nan},
    "stale": {"age_seconds": 15.5},
    "no replicas": {"ready": 0, "running": 0},
}
# On these it may add replicas; what it then says.
_IN_SYSTEM, _MINUTE = "the requests in the system", "the arrival rate over a minute"
IN_PART_BAD_SIGNALS: dict[str, tuple[dict[str, Any], str]] = {
    f"{what} are {value}": ({name: value}, f"{what} {verb} not known")
    for name, what, verb in (
        ("in_system", _IN_SYSTEM, "are"),
        ("arrival_rate_60s", _MINUTE, "is"),
    )
    for value in (None, math.nan, math.inf, -1.0)
} | {"a problem with what is not needed": ({"problem": "several series: queue"}, "several series")}
