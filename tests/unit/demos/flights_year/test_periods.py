"""The replay sends a control period without drift, and a sample of each month."""

from __future__ import annotations

import numpy as np
import pytest

from tidegate.demos.flights_year.periods import rake, replay_periods
from tidegate.monitoring.counting.bin_counter import BinCounter
from tidegate.monitoring.counting.drift_test import psi
from tidegate.service.artefacts.reference import build_reference
from tidegate.service.model.features import Feature
from tidegate.service.training.flights import Flights

FEATURES = (
    Feature(name="x", missing=True),
    Feature(name="carrier", kind="category", categories=("AA", "UA", "DL")),
)


@pytest.fixture(scope="module")
def flights() -> Flights:
    """A year in which the mean of x differs from day to day."""
    random = np.random.default_rng(5)
    day = np.repeat(np.arange(1, 361), 100)
    x = 3 * random.normal(size=361)[day] + random.normal(size=len(day)) + (day > 60) * 3
    x[::50] = np.nan
    matrix = np.stack([x, random.integers(0, 3, len(day))], axis=1).astype("f4")
    late = random.random(len(day)) < 0.25
    return Flights(FEATURES, matrix, late, month=(day - 1) // 30 + 1, day=day)


def test_each_month_is_a_sample_of_its_flights_after_a_control(flights: Flights) -> None:
    reference = build_reference(FEATURES, flights.matrix[flights.month <= 2])
    periods = replay_periods(flights, reference, months=2, rows=500)
    assert [month.name for month in periods] == ["control", "Mar", "Apr"]
    assert [len(month) for month in periods] == [500, 500, 500]
    march = {row.tobytes() for row in flights.matrix[flights.month == 3]}
    assert all(row.tobytes() in march for row in periods[1].matrix)
    assert set(periods[1].actual) == {"late", "on_time"}
    again = replay_periods(flights, reference, months=2, rows=500)
    assert all(
        np.array_equal(a.matrix, b.matrix, equal_nan=True)
        for a, b in zip(periods, again, strict=True)
    )
    other = replay_periods(flights, reference, months=2, rows=500, seed=1)
    assert not np.array_equal(periods[1].matrix, other[1].matrix, equal_nan=True)
    # A month has at most all of its flights.
    assert len(replay_periods(flights, reference, months=1, rows=20_000)[1]) == 3000


def test_the_control_has_not_drifted_but_its_unweighted_rows_have(flights: Flights) -> None:
    window = flights.month <= 2
    reference = build_reference(FEATURES, flights.matrix[window])
    counter = BinCounter(reference.features, [each.categories for each in FEATURES])
    held_out = flights.matrix[window & (flights.day % 5 == 0)]

    def largest_psi(matrix: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
        bins = counter.bins(matrix)
        return max(
            psi(np.bincount(column, minlength=len(each.counts)), each.counts)
            for column, each in zip(bins.T, reference.features, strict=True)
        )

    (control, _) = replay_periods(flights, reference, months=1, rows=2000)
    assert largest_psi(control.matrix) < 0.05 < largest_psi(held_out)


def test_raking_gives_each_feature_its_target_shares() -> None:
    random = np.random.default_rng(1)
    first = random.choice(3, 3000, p=[0.7, 0.2, 0.1])
    bins = np.stack([first, (first + random.integers(0, 2, 3000)) % 2], axis=1)
    targets = [np.array([100, 300, 600]), np.array([800, 200])]
    weights = rake(bins, targets)
    assert weights.sum() == pytest.approx(1)
    for column, counts in zip(bins.T, targets, strict=True):
        shares = np.bincount(column, weights)
        np.testing.assert_allclose(shares, counts / counts.sum(), atol=1e-3)


def test_raking_ignores_a_target_bin_without_rows() -> None:
    weights = rake(np.array([[0], [0], [1]]), [np.array([50, 50, 100])])
    np.testing.assert_allclose(weights, [0.25, 0.25, 0.5])
