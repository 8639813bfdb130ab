"""Sums of cumulative counters over replicas that come and go."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.ray.totals import Growth, Totals


def growth_of(*observed: dict[str, dict[str, float]], window: float = 15.0) -> Growth | None:
    """After these observations, five seconds apart."""
    totals = Totals()
    for tick, replicas in enumerate(observed):
        totals.observe(5.0 * tick, replicas)
    return totals.growth(window)


def n(**replicas: float) -> dict[str, dict[str, float]]:
    """An observation of the counter `n` of each replica."""
    return {name: {"n": value} for name, value in replicas.items()}


@pytest.mark.parametrize(
    ("observed", "window", "seconds", "grown"),
    [
        # Between the sample before the window and now.
        ([n(a=10.0 * tick) for tick in range(14)], 15.0, 15.0, 30.0),
        ([n(a=10.0 * tick) for tick in range(14)], 60.0, 60.0, 120.0),
        # What was counted before the first observation is no growth.
        ([n(a=1000), n(a=1010)], 15.0, 5.0, 10.0),
        # A new replica has counted since the last observation.
        ([n(a=100), n(a=100, b=7)], 15.0, 5.0, 7.0),
        # Impossible values are ignored.
        ([n(a=1), n(a=math.nan), n(a=-1), n(a=3)], 60.0, 15.0, 2.0),
    ],
)
def test_growth_is_that_of_all_replicas_within_the_window(
    observed: list[dict[str, dict[str, float]]], window: float, seconds: float, grown: float
) -> None:
    growth = growth_of(*observed, window=window)
    assert growth is not None
    assert (growth.seconds, growth.by["n"], growth.rate("n")) == (seconds, grown, grown / seconds)


def test_one_observation_is_no_growth() -> None:
    assert growth_of(n(a=1000)) is None


def test_a_replica_that_ends_takes_nothing_away() -> None:
    totals = Totals()
    for tick, observed in enumerate((n(a=0, b=0), n(a=5, b=50), n(a=6))):
        totals.observe(5.0 * tick, observed)
    totals.forget_ended(frozenset({"a"}))
    growth = totals.growth(15.0)
    assert growth is not None
    assert growth.by["n"] == 56.0


def test_a_level_may_fall_and_belongs_to_its_moment() -> None:
    totals = Totals()
    totals.observe(0.0, n(a=0), levels={"n": 3.0})
    totals.observe(5.0, n(a=10), levels={"n": 1.0})
    growth = totals.growth(15.0)
    assert growth is not None
    assert growth.by["n"] == 8.0, "10 were begun, of which 2 had waited before"


def test_old_observations_are_dropped() -> None:
    growth = growth_of(*(n(a=float(second)) for second in range(0, 10_000, 5)), window=3600.0)
    assert growth is not None
    assert growth.seconds <= 75.0


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abc"), st.fixed_dictionaries({"n": st.floats()}), max_size=3
        ),
        max_size=20,
    )
)
def test_growth_is_never_negative(observations: list[dict[str, dict[str, float]]]) -> None:
    totals = Totals()
    for tick, replicas in enumerate(observations):
        totals.observe(5.0 * tick, replicas)
        growth = totals.growth(15.0)
        assert growth is None or all(value >= 0 for value in growth.by.values())
