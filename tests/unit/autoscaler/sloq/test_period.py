"""The period of rates that repeat."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.autoscaler.sloq.period import find_period


def counted(rates: np.ndarray, seed: int = 0) -> list[float]:
    """Rates measured by Poisson counts over 15 s."""
    return [float(count) / 15 for count in np.random.default_rng(seed).poisson(15 * rates)]


def bursts(begins: np.ndarray, length: int = 2, number: int = 200) -> np.ndarray:
    """120/s in intervals from each begin, else 30/s."""
    rates = np.full(number, 30.0)
    for begin in np.round(begins).astype(int):
        rates[begin : begin + length] = 120.0
    return rates


@pytest.mark.parametrize("period", [4, 7, 8, 20, 33, 80])
def test_the_period_of_bursts_is_found_and_no_multiple_of_it(period: int) -> None:
    found = find_period(counted(bursts(np.arange(3, 200, period), 1)), shortest=4)
    assert found == pytest.approx(period, abs=0.35)


def test_further_periods_show_a_fraction_of_an_interval() -> None:
    found = find_period(counted(bursts(np.arange(3, 200, 19.3))), shortest=4)
    assert found == pytest.approx(19.3, abs=0.2)


@pytest.mark.parametrize("seed", range(5))
def test_other_traffic_has_no_period(seed: int) -> None:
    random = np.random.default_rng(seed)
    steady, rising = np.full(200, 60.0), np.linspace(5.0, 100.0, 200)
    irregular = bursts(np.cumsum(random.exponential(20.0, 30)))
    for rates in (steady, rising, irregular, np.repeat(random.uniform(10, 100, 50), 4)):
        assert find_period(counted(rates, seed), shortest=4) == 0


def test_two_periods_are_needed() -> None:
    rates = counted(bursts(np.arange(10, 200, 40)))
    assert find_period(rates[:70], shortest=4) == 0
    assert find_period(rates[:92], shortest=4) == pytest.approx(40, abs=0.5)


def test_the_last_period_is_kept_if_it_is_about_as_good() -> None:
    # Every second burst is larger.
    rates = bursts(np.arange(3, 200, 40)) + bursts(np.arange(23, 200, 40)) * 0.9
    assert find_period(counted(rates), shortest=4) == pytest.approx(20, abs=0.5)
    assert find_period(counted(rates), shortest=4, before=40.0) == pytest.approx(40, abs=0.5)


@given(st.lists(st.floats(0, 1e9), max_size=60), st.floats(0, 100))
def test_any_rates_have_a_period_of_at_most_half_of_them_or_none(
    rates: list[float], before: float
) -> None:
    assert 0 <= find_period(rates, shortest=4, before=before) <= len(rates) / 2 + 2
