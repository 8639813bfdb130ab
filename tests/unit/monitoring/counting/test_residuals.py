"""The errors of a regressor on held-out rows: a calibrated interval, and the expected error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.monitoring.counting.reference import BadReferenceError, Residuals
from tidegate.monitoring.counting.residuals import calibrate_residuals, half_width


def test_the_size_of_the_errors_is_numpys() -> None:
    random = np.random.default_rng(1)
    predicted, truth = random.normal(size=(2, 500))
    found = calibrate_residuals(predicted, truth)
    errors = np.abs(predicted - truth)
    assert found.mean_absolute_error == pytest.approx(errors.mean())
    assert found.root_mean_squared_error == pytest.approx(np.sqrt((errors**2).mean()))
    assert found.deviation == pytest.approx(errors.std())
    assert found.samples == 500


@pytest.mark.parametrize(
    ("errors", "coverage", "expected"),
    [
        (range(1, 10), 0.9, 9),  # ⌈10 · 0.9⌉ = 9
        (range(1, 20), 0.9, 18),
        (range(1, 101), 0.9, 91),
        (range(1, 101), 0.5, 51),
        (range(1, 6), 0.9, 5),  # ⌈6 · 0.9⌉ = 6 is more than there are
    ],
)
def test_the_half_width_is_an_order_statistic(
    errors: range, coverage: float, expected: float
) -> None:
    assert half_width(np.array(errors, float)[::-1], coverage) == expected


def test_the_interval_contains_nine_of_ten_further_values() -> None:
    random = np.random.default_rng(2)
    predicted = random.normal(size=40_000)
    truth = predicted + random.standard_t(3, size=40_000)
    found = calibrate_residuals(predicted[:20_000], truth[:20_000])
    inside = np.abs(truth[20_000:] - predicted[20_000:]) <= found.half_width
    # Both are the coverage of an interval from other rows; four standard deviations.
    assert inside.mean() == pytest.approx(0.9, abs=4 * np.sqrt(2 * 0.09 / 20_000))
    assert found.held_out_coverage == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / 20_000))


def test_errors_that_grow_and_shrink_with_the_prediction_are_expected_where_they_are() -> None:
    random = np.random.default_rng(3)
    predicted = random.uniform(-1, 1, size=30_000)
    truth = predicted + np.abs(predicted) * random.choice([-1.0, 1.0], 30_000)
    found = calibrate_residuals(predicted, truth)
    at = np.array([-0.9, -0.5, 0.5, 0.9])
    expected = np.interp(at, found.predicted, found.expected)
    assert expected == pytest.approx(np.abs(at), abs=0.03)
    whole = np.interp(predicted, found.predicted, found.expected).mean()
    assert whole == pytest.approx(found.mean_absolute_error, rel=0.05)


def test_errors_that_differ_by_chance_only_have_one_expected_value() -> None:
    random = np.random.default_rng(4)
    spread = []
    for _ in range(20):
        predicted = random.normal(size=600)
        found = calibrate_residuals(predicted, predicted + random.normal(size=600))
        spread.append(np.ptp(found.expected) / found.mean_absolute_error)
    # Means of 30 errors differ by 0.5 of the mean, from the smallest to the largest of 20 bins.
    assert np.median(spread) < 0.1


@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).map(lambda pair: (*pair,)),
        min_size=10,
        max_size=80,
    )
)
def test_any_rows_have_an_ascending_curve_between_the_smallest_and_the_largest_error(
    rows: list[tuple[float, float]],
) -> None:
    predicted, truth = np.array(rows).T
    found = calibrate_residuals(predicted, truth)
    errors = np.abs(predicted - truth)
    margin = 1e-9 * (1 + errors.max())
    assert list(found.predicted) == sorted(set(found.predicted))
    assert all(errors.min() - margin <= each <= errors.max() + margin for each in found.expected)
    assert 0 <= found.held_out_coverage <= 1
    assert found.half_width in errors


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        ([1.0] * 9, [1.0] * 9, "9 held-out rows; .* at least 10"),
        ([1.0] * 10, [1.0] * 11, "10 predicted values and 11 true ones"),
        ([1.0] * 10, [1.0] * 9 + [np.nan], "not a number between"),
        ([1.0] * 10, [1.0] * 9 + [np.inf], "not a number between"),
        ([1e200] * 10, [1.0] * 10, "not a number between"),
    ],
)
def test_rows_without_errors_are_refused(
    predicted: list[float], truth: list[float], message: str
) -> None:
    with pytest.raises(BadReferenceError, match=message):
        calibrate_residuals(np.array(predicted), np.array(truth))


def test_a_curve_needs_a_value_for_each_point() -> None:
    found = calibrate_residuals(np.arange(10.0), np.arange(10.0))
    with pytest.raises(ValueError, match="same number of points"):
        Residuals.model_validate(found.model_dump() | {"expected": ()})
