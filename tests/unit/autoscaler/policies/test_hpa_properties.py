"""Properties of the HPA v2 policy."""

import math
from dataclasses import replace
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from tidegate.autoscaler.policies.hpa import hpa
from tidegate.autoscaler.types import Bounds, Signals

MEASURED = st.none() | st.floats(allow_nan=True, allow_infinity=True)
COUNTS = st.integers(-1, 40)
BOUNDS = st.integers(1, 20).flatmap(
    lambda low: st.integers(low, 30).map(lambda high: Bounds(low, high))
)
SIGNALS = st.builds(
    Signals,
    arrival_rate=MEASURED,
    service_seconds=MEASURED,
    in_system=MEASURED | st.floats(0, 500),
    slots_per_replica=st.none() | st.integers(-1, 300),
    ready=COUNTS,
    running=COUNTS,
    desired=COUNTS,
    latency_seconds=MEASURED,
    age_seconds=MEASURED | st.floats(0, 20),
    problem=st.text(max_size=10),
)
SEEN = st.builds(
    replace,
    SIGNALS,
    in_system=st.floats(0, 500),
    slots_per_replica=st.integers(1, 16),
    ready=st.integers(1, 40),
    age_seconds=st.floats(0, 15),
)
# Steps of time and the signals seen then: what a run consists of.
RUNS = st.lists(st.tuples(st.floats(0.1, 400), SIGNALS | SEEN), min_size=1, max_size=12)


def run(bounds: Bounds, steps: list[tuple[float, Signals]]) -> tuple[dict[str, Any], float]:
    """The state and the time after a run."""
    decide, state, now = hpa(bounds), dict[str, Any](), 0.0
    for step, signals in steps:
        now += step
        state = decide(state, signals, now).state
    return state, now


def is_bad(value: float | None) -> bool:
    return value is None or not math.isfinite(value) or value < 0


@given(BOUNDS, RUNS, SIGNALS)
def test_bad_data_changes_the_number_only_to_keep_the_bounds(
    bounds: Bounds, steps: list[tuple[float, Signals]], signals: Signals
) -> None:
    age = signals.age_seconds
    assume(
        is_bad(signals.in_system)
        or is_bad(age)
        or (age is not None and age > 15)
        or (signals.slots_per_replica or 0) < 1
        or signals.ready <= 0
    )
    state, now = run(bounds, steps)
    decision = hpa(bounds)(state, signals, now)
    assert decision.desired == bounds.clamp(signals.desired)
    assert decision.reason in {"no-signal", "hold", "limited", "up", "down"}


@given(BOUNDS, RUNS, SEEN)
def test_it_scales_up_no_faster_than_kubernetes(
    bounds: Bounds, steps: list[tuple[float, Signals]], signals: Signals
) -> None:
    del steps
    assume(bounds.min <= signals.desired)
    decision = hpa(bounds)({}, signals, 0.0)
    assert decision.desired <= max(2 * signals.desired, signals.desired + 4)


@given(BOUNDS, SEEN, st.lists(st.floats(0, 500), min_size=1, max_size=30))
def test_no_scale_down_in_the_first_300_s(
    bounds: Bounds, signals: Signals, loads: list[float]
) -> None:
    decide, state = hpa(bounds), dict[str, Any]()
    held = bounds.clamp(signals.desired)
    for tick, load in enumerate(loads):
        seen = replace(signals, in_system=load, desired=held, ready=held, running=held)
        decision = decide(state, seen, tick * 10.0)
        assert decision.desired >= held or tick * 10.0 >= 300
        held, state = decision.desired, decision.state
