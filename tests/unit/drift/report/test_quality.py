"""The quality of predictions by period, confidence and segment, and the most confident errors."""

from __future__ import annotations

import numpy as np
import pytest

from support.samples.drift_report import rows_of
from tidegate.drift.report.findings import Model
from tidegate.drift.report.periods import Period, even_periods, period_indices
from tidegate.drift.report.quality import (
    calibration,
    confident_errors,
    degraded_segments,
    overall_quality,
    quality_by_period,
)

PERIODS = [Period("a", 0, 10), Period("b", 10, 20), Period("c", 20, 30)]


def test_periods_divide_a_span_and_are_named_after_their_begin() -> None:
    periods = even_periods(0, 60, 3)
    assert [period.name for period in periods] == ["00:00:00", "00:00:20", "00:00:40"]
    assert [(period.begin, period.end) for period in periods] == [(0, 20), (20, 40), (40, 60)]
    assert even_periods(0, 86_400 * 2, 2)[1].name == "02 Jan 00:00"
    assert period_indices(periods, np.array([-1.0, 0, 20, 59.9, 60])).tolist() == [-1, 0, 1, 2, -1]


def test_the_accuracy_of_a_period_is_that_of_its_rows(model: Model) -> None:
    rows = rows_of([1, 2, 12], [True, False, True], [0.9, 0.7, 0.6])
    first, second, third = quality_by_period(rows, PERIODS, model.expectation)
    assert (first.labels, first.accuracy) == (2, 0.5)
    assert first.expected == pytest.approx(0.8)
    assert first.gap == pytest.approx(0.3)
    assert first.brier == pytest.approx((0.1**2 + 0.7**2) / 2)
    assert (second.labels, second.accuracy) == (1, 1.0)
    assert (third.labels, third.accuracy, third.gap) == (0, None, None)
    assert quality_by_period(rows, PERIODS, None)[0].gap is None
    assert overall_quality(rows, PERIODS[0], None).labels == 3


def test_the_bins_of_a_calibrated_model_are_within_two_errors_of_the_diagonal(model: Model) -> None:
    random = np.random.default_rng(6)
    confidence = random.uniform(0.5, 1, 20_000)
    right = random.random(20_000) < confidence
    rows = rows_of([1.0] * 20_000, right.tolist(), confidence.tolist())
    bins = calibration(rows)
    assert [one.labels for one in bins] == [2000] * 10
    assert sum(abs(one.correct - one.confidence) < one.margin for one in bins) >= 9
    # Their expected accuracy is right within two percentage points.
    (quality,) = quality_by_period(rows, PERIODS[:1], model.expectation)
    assert quality.gap == pytest.approx(0, abs=0.02)
    assert calibration(rows_of([1], [True], [0.9])) == calibration(
        rows_of([1], [True], [0.9]), bins=1
    )


def test_a_large_drop_of_accuracy_is_significant() -> None:
    # AA drops from 90 to 50 %, UA is unchanged, DL has too few labels.
    before = [True] * 90 + [False] * 10
    names = ["AA"] * 100 + ["UA"] * 100 + ["DL"] * 5
    now = [True] * 50 + [False] * 50 + before + [False] * 5
    rows = rows_of(
        [5] * 205 + [15] * 205, before + before + [True] * 5 + now, [0.9] * 410, carrier=names * 2
    )
    (segment,) = degraded_segments(rows, PERIODS[1])
    assert (segment.feature, segment.value, segment.before, segment.now) == (
        "carrier",
        "AA",
        0.9,
        0.5,
    )
    assert segment.labels == 100
    # z of two proportions of 100 labels each: 0.4 / sqrt(0.7 * 0.3 * 2 / 100)
    assert segment.z == pytest.approx(0.4 / (0.7 * 0.3 * 0.02) ** 0.5)
    assert segment.significant
    assert degraded_segments(rows, PERIODS[0]) == []


def test_a_small_drop_is_not_significant_and_a_model_without_errors_has_no_drop() -> None:
    right = [True] * 40 + [True] * 38 + [False] * 2
    (segment,) = degraded_segments(
        rows_of([5] * 40 + [15] * 40, right, [0.9] * 80, carrier=["AA"] * 80), PERIODS[1]
    )
    assert not segment.significant
    never = rows_of([5] * 40 + [15] * 40, [True] * 80, [0.9] * 80, carrier=["AA"] * 80)
    assert degraded_segments(never, PERIODS[1]) == []


def test_examples_are_the_errors_with_the_highest_confidence() -> None:
    rows = rows_of(
        [1, 2, 3, 4], [False, True, False, False], [0.7, 0.99, 0.95, 0.6], carrier=list("ABCD")
    )
    found = confident_errors(rows, 2)
    assert [(one.confidence, one.segments, one.row) for one in found] == [
        (0.95, ("C",), 2),
        (0.7, ("A",), 0),
    ]
    assert (found[0].predicted, found[0].actual, found[0].trace) == ("late", "on_time", f"{2:032x}")
