"""Sums of cumulative counters over replicas that come and go."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tidegate.ray.totals import Totals


def test_growth_is_between_the_sample_before_the_window_and_now() -> None:
    totals = Totals()
    for tick in range(14):  # 65 s
        totals.observe(5.0 * tick, {"a": {"n": 10.0 * tick}})
    short = totals.growth(15.0)
    assert short is not None
    assert (short.seconds, short.by["n"], short.rate("n")) == (15.0, 30.0, 2.0)
    long = totals.growth(60.0)
    assert long is not None
    assert (long.seconds, long.by["n"]) == (60.0, 120.0)


def test_what_was_counted_before_the_first_observation_is_no_growth() -> None:
    totals = Totals()
    totals.observe(0.0, {"a": {"n": 1000.0}})
    assert totals.growth(15.0) is None
    totals.observe(5.0, {"a": {"n": 1010.0}})
    growth = totals.growth(15.0)
    assert growth is not None
    assert (growth.seconds, growth.by["n"]) == (5.0, 10.0)


def test_a_new_replica_has_counted_since_the_last_observation() -> None:
    totals = Totals()
    totals.observe(0.0, {"a": {"n": 100.0}})
    totals.observe(5.0, {"a": {"n": 100.0}, "b": {"n": 7.0}})
    growth = totals.growth(15.0)
    assert growth is not None
    assert growth.by["n"] == 7.0


def test_a_replica_that_ends_takes_nothing_away() -> None:
    totals = Totals()
    totals.observe(0.0, {"a": {"n": 0.0}, "b": {"n": 0.0}})
    totals.observe(5.0, {"a": {"n": 5.0}, "b": {"n": 50.0}})
    totals.observe(10.0, {"a": {"n": 6.0}})
    totals.forget_ended(frozenset({"a"}))
    growth = totals.growth(15.0)
    assert growth is not None
    assert growth.by["n"] == 56.0


def test_a_level_may_fall_and_belongs_to_its_moment() -> None:
    totals = Totals()
    totals.observe(0.0, {"a": {"n": 0.0}}, levels={"n": 3.0})
    totals.observe(5.0, {"a": {"n": 10.0}}, levels={"n": 1.0})
    growth = totals.growth(15.0)
    assert growth is not None
    assert growth.by["n"] == 8.0, "10 were begun, of which 2 had waited before"


def test_impossible_values_are_ignored() -> None:
    totals = Totals()
    totals.observe(0.0, {"a": {"n": 1.0}})
    totals.observe(5.0, {"a": {"n": math.nan}})
    totals.observe(10.0, {"a": {"n": -1.0}})
    totals.observe(15.0, {"a": {"n": 3.0}})
    growth = totals.growth(60.0)
    assert growth is not None
    assert growth.by["n"] == 2.0


def test_old_observations_are_dropped() -> None:
    totals = Totals()
    for second in range(0, 10_000, 5):
        totals.observe(float(second), {"a": {"n": float(second)}})
    growth = totals.growth(3600.0)
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
