"""Means and ratios over seeds: the intervals hold what they claim, and pairing is used."""

from __future__ import annotations

import math
import random

import pytest

from bench.autoscaler.statistics import Estimate, mean_of, ratio_of_sums


def test_the_interval_of_a_mean_is_students() -> None:
    # The mean of 1 to 5 is 3, its standard error √0.5, and t of 4 degrees of freedom 2.7764.
    found = mean_of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.value == 3.0
    assert found.high - found.value == pytest.approx(2.7764 * math.sqrt(0.5), rel=1e-4)
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_one_seed_has_no_interval() -> None:
    found = mean_of([7.0])
    assert (found.value, found.low, found.high) == (7.0, -math.inf, math.inf)
    assert f"{found:.1f}" == "7.0"


def test_a_ratio_is_of_sums_not_of_seeds() -> None:
    # The seeds' own ratios are 2 and 0.5.
    assert ratio_of_sums([2.0, 50.0], [1.0, 100.0]).value == pytest.approx(52 / 101)


def test_a_ratio_that_is_the_same_in_each_seed_is_known_exactly() -> None:
    """Pairing: the seeds themselves differ by orders of magnitude."""
    wholes = [1.0, 10.0, 100.0, 1000.0]
    found = ratio_of_sums([0.3 * whole for whole in wholes], wholes)
    assert found.low == pytest.approx(0.3)
    assert found.high == pytest.approx(0.3)


@pytest.mark.parametrize(("parts", "value"), [([0.0, 0.0], 1.0), ([10.0, 0.0], math.inf)])
def test_where_there_is_nothing_to_avoid_there_is_no_interval(
    parts: list[float], value: float
) -> None:
    found = ratio_of_sums(parts, [0.0, 0.0])
    assert found.value == value
    assert not math.isfinite(found.high)
    assert f"{Estimate(math.inf, 0, 0):.2f}" == "none"


def test_the_interval_of_a_ratio_holds_the_true_one_in_about_19_of_20_cases() -> None:
    drawn = random.Random(1)
    held = 0
    for _ in range(1000):
        wholes = [drawn.uniform(50, 150) for _ in range(10)]
        parts = [0.5 * whole + drawn.gauss(0, 10) for whole in wholes]
        found = ratio_of_sums(parts, wholes)
        held += found.low <= 0.5 <= found.high
    assert 925 <= held <= 975
