"""PSI, its statistic and the critical value agree with their definitions and with scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from tidegate.monitoring.counting.drift_test import critical_value, psi, statistic

COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=25)


def test_a_shift_worked_out_by_hand() -> None:
    # p = (30.5, 70.5) / 101, q = (50.5, 50.5) / 101
    expected = (30.5 - 50.5) / 101 * math.log(30.5 / 50.5) + 20 / 101 * math.log(70.5 / 50.5)
    assert psi([30, 70], [50, 50]) == pytest.approx(expected)


@given(COUNTS, st.integers(1, 1000))
def test_it_is_zero_for_the_same_shares_and_never_negative(counts: list[int], more: int) -> None:
    assert psi(counts, counts) == 0
    assert psi([*counts[:-1], counts[-1] + more], counts) > 0


def test_an_empty_bin_is_not_impossible() -> None:
    assert math.isfinite(psi([0, 1000], [1000, 0]))


def test_the_statistic_follows_chi_squared_if_nothing_has_changed() -> None:
    random = np.random.default_rng(6)
    reference = np.full(12, 5000)
    share = reference / reference.sum()
    found = [
        statistic(psi(row, random.multinomial(60_000, share)), 2000, 60_000)
        for row in random.multinomial(2000, share, size=2000)
    ]
    assert stats.kstest(found, stats.chi2(11).cdf).pvalue > 0.001


def test_the_statistic_of_nothing_is_zero() -> None:
    assert statistic(0.5, 0, 0) == 0


@pytest.mark.parametrize("bins", [3, 5, 7, 13, 22, 60])
@pytest.mark.parametrize("comparisons", [1, 15, 100])
def test_the_critical_value_lies_a_little_above_scipys(bins: int, comparisons: int) -> None:
    exact = stats.chi2.isf(0.01 / comparisons, bins - 1)
    assert exact <= critical_value(bins, comparisons, 0.01) < exact * 1.05


def test_a_critical_value_needs_neither_two_bins_nor_a_comparison() -> None:
    assert critical_value(1, 0, 0.01) == critical_value(2, 1, 0.01)
