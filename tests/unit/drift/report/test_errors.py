"""The errors of a regressor by period, predicted value and segment, and the largest ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from support.samples.drift_report import values_of
from support.samples.model_artefacts import HELD_OUT
from tidegate.drift.report.errors import (
    ErrorQuality,
    by_predicted_value,
    errors_by_period,
    largest_errors,
    overall_errors,
    segments_by_error,
)
from tidegate.drift.report.periods import Period
from tidegate.monitoring.counting.expectation import Expectation

PERIODS = [Period("a", 0, 10), Period("b", 10, 20), Period("c", 20, 30)]


def test_the_errors_of_a_period_are_those_of_its_rows() -> None:
    rows = values_of([1, 2, 15], [30, 0, 10], [36, -12, 10])
    first, second, third = errors_by_period(rows, PERIODS, Expectation.of_values(HELD_OUT))
    assert (first.labels, first.error, first.deviation) == (2, 9.0, 3.0)
    assert first.rmse == pytest.approx(math.sqrt((36 + 144) / 2))
    assert first.bias == -3.0
    assert first.coverage == 0.5
    assert first.expected == pytest.approx((5.0 + 2.0) / 2)
    assert first.margin == pytest.approx(2 * 3 / math.sqrt(2))
    assert (second.error, second.rmse, second.coverage) == (0, 0, 1)
    assert third == ErrorQuality(PERIODS[2], 0)
    assert math.isnan(third.margin)
    assert (third.rise(HELD_OUT), third.z(HELD_OUT)) == (None, None)


def test_the_rise_and_its_z_are_those_of_the_rules() -> None:
    quality = ErrorQuality(PERIODS[0], 500, error=5.0, deviation=6.0)
    assert quality.rise(HELD_OUT) == pytest.approx(0.25)
    assert quality.z(HELD_OUT) == pytest.approx(1 / (6 * math.sqrt(1 / 500 + 1 / 2000)))
    narrow = ErrorQuality(PERIODS[0], 500, error=5.0, deviation=1.0)
    assert narrow.z(HELD_OUT) == pytest.approx(1 / (3 * math.sqrt(1 / 500 + 1 / 2000)))
    perfect = HELD_OUT.model_copy(update={"mean_absolute_error": 0.0, "deviation": 0.0})
    assert quality.rise(perfect) is None
    assert ErrorQuality(PERIODS[0], 5, error=1.0, deviation=0.0).z(perfect) is None


def test_rows_without_an_interval_have_no_coverage() -> None:
    rows = values_of([1, 2], [1, 1], [1, 1])
    rows.inside[:] = np.nan
    assert overall_errors(rows, PERIODS[0], None).coverage is None
    assert overall_errors(rows, PERIODS[0], None).expected is None
    assert largest_errors(rows, 1)[0].inside is None


def test_residuals_are_grouped_by_predicted_value() -> None:
    predicted = np.arange(100.0)
    rows = values_of(
        np.zeros(100).tolist(), predicted[::-1].tolist(), (predicted[::-1] + 3).tolist()
    )
    low, high = by_predicted_value(rows, bins=2)
    assert (low.predicted, low.mean, low.labels) == (24.5, 3.0, 50)
    assert (high.predicted, high.low, high.high, high.margin) == (74.5, 3.0, 3.0, 0.0)
    assert by_predicted_value(values_of([], [], [])) == []
    assert len(by_predicted_value(values_of([0], [1], [2]))) == 1


def test_a_segment_whose_error_rose_is_significant() -> None:
    random = np.random.default_rng(3)
    answered = [5.0] * 200 + [15.0] * 200
    carriers = (["AA"] * 100 + ["UA"] * 100) * 2
    scale = np.array([1.0] * 300 + [4.0] * 100)  # UA, now
    actual = scale * random.normal(size=400)
    rows = values_of(answered, [0.0] * 400, actual.tolist(), carrier=carriers)
    first, *others = segments_by_error(rows, PERIODS[1])
    assert (first.feature, first.value, first.labels) == ("carrier", "UA", 100)
    assert first.significant
    assert first.now > 2 * first.before
    assert not any(each.significant for each in others)


def test_segments_with_few_labels_and_constant_errors_are_not_compared() -> None:
    rows = values_of([5, 15], [0, 0], [1, 9], carrier=["AA", "AA"])
    assert segments_by_error(rows, PERIODS[1]) == []
    same = values_of([5.0] * 40 + [15.0] * 40, [0.0] * 80, [1.0] * 80, carrier=["AA"] * 80)
    assert segments_by_error(same, PERIODS[1]) == []


def test_the_largest_errors_come_first() -> None:
    rows = values_of([1, 2, 3], [10, 10, 10], [11, -20, 25], carrier=["AA", "UA", ""])
    found = largest_errors(rows, 2)
    assert [(each.residual, each.inside, each.row) for each in found] == [
        (-30.0, False, 1),
        (15.0, False, 2),
    ]
    assert found[0].trace == f"{1:032x}"
    assert found[0].segments == ("UA",)
