"""Rate shapes are converted to segments; their integral and its inverse are exact."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.loadgen.plan.rates import Constant, Ramp, Segment, Spike, Steps, exact, from_counts

rates = st.integers(0, 5000).map(lambda number: number / 10)
SPIKE = Spike.model_validate(
    {"kind": "spike", "base_rate": 5, "peak_rate": 80}
    | {"before_seconds": 10, "peak_seconds": 2, "after_seconds": 20}
)
lengths = st.integers(1, 5000).map(lambda number: number / 10)


@pytest.mark.parametrize(
    ("phase", "seconds", "requests"),
    [
        (Constant(kind="constant", seconds=40, rate=30), 40, 1200),
        (Constant(kind="constant", seconds=10, rate=0.1), 10, 1),
        (Steps(kind="steps", seconds=20, rates=(10, 20.5, 0)), 60, 610),
        (Ramp(kind="ramp", seconds=10, start_rate=0, end_rate=30), 10, 150),
        (Ramp(kind="ramp", seconds=0.3, start_rate=30, end_rate=0.1), 0.3, 4.515),
        (SPIKE, 32, 310),
    ],
)
def test_a_shape_has_the_duration_and_requests_of_its_formula(
    phase: Constant | Steps | Ramp | Spike, seconds: float, requests: float
) -> None:
    segments = list(phase.segments())
    assert sum(segment.seconds for segment in segments) == exact(seconds)
    assert sum(segment.requests for segment in segments) == exact(requests)


def test_a_spike_has_its_peak_rate_only_in_the_middle() -> None:
    assert [(float(one.seconds), float(one.start_rate)) for one in SPIKE.segments()] == [
        (10, 5),
        (2, 80),
        (20, 5),
    ]


def test_the_speed_of_a_trace_does_not_change_its_counts() -> None:
    counts = [Fraction(3), Fraction(0), Fraction(7)]
    segments = list(from_counts(counts, interval_seconds=60, speed=570, scale=3))
    assert [segment.requests for segment in segments] == [9, 0, 21]
    assert [segment.seconds for segment in segments] == [Fraction(60, 570)] * 3


@given(start=rates, end=rates, seconds=lengths, share=st.floats(0, 1))
def test_the_inverse_is_the_inverse_of_the_integral(
    start: float, end: float, seconds: float, share: float
) -> None:
    segment = Segment(exact(seconds), exact(start), exact(end))
    at = share * seconds
    sent = start * at + (end - start) * at * at / (2 * seconds)
    if min(start, end) > 0:
        assert math.isclose(segment.time_of(sent), at, rel_tol=1e-9, abs_tol=1e-9)
    assert 0 <= segment.time_of(sent) <= seconds


@given(start=rates, end=rates, seconds=lengths)
def test_the_inverse_of_all_requests_is_the_end(start: float, end: float, seconds: float) -> None:
    segment = Segment(exact(seconds), exact(start), exact(end))
    expected = seconds if segment.requests else 0.0
    # Toward a rate of zero the inverse is steep: the last request's time has half of a float's digits.
    assert math.isclose(segment.time_of(float(segment.requests)), expected, rel_tol=1e-6)
