"""The quality of labels and of values by period, score and segment, and the worst predictions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from support.samples.drift_report import CLASSIFIER, REGRESSOR, rows_of, values_of
from support.samples.model_artefacts import HELD_OUT
from tidegate.monitoring.report.quality import (
    by_score,
    degraded_segments,
    overall_quality,
    quality_by_period,
    worst_predictions,
)
from tidegate.monitoring.tasks.labelled_rows import LabelledRows
from tidegate.monitoring.tasks.periods import Period, Quality, even_periods, period_indices
from tidegate.monitoring.tasks.registry import make_task
from tidegate.monitoring.tasks.regression import RegressionTask
from tidegate.monitoring.tasks.task import Task
from tidegate.settings import Drift

CLASSIFICATION, REGRESSION = make_task(CLASSIFIER, Drift()), make_task(REGRESSOR, Drift())
PERIODS = [Period("a", 0, 10), Period("b", 10, 20), Period("c", 20, 30)]


def test_periods_divide_a_span_and_are_named_after_their_begin() -> None:
    periods = even_periods(0, 60, 3)
    assert [period.name for period in periods] == ["00:00:00", "00:00:20", "00:00:40"]
    assert [(period.begin, period.end) for period in periods] == [(0, 20), (20, 40), (40, 60)]
    assert even_periods(0, 86_400 * 2, 2)[1].name == "02 Jan 00:00"
    assert period_indices(periods, np.array([-1.0, 0, 20, 59.9, 60])).tolist() == [-1, 0, 1, 2, -1]


def test_the_accuracy_of_a_period_is_that_of_its_rows() -> None:
    rows = rows_of([1, 2, 12], [True, False, True], [0.9, 0.7, 0.6])
    first, second, third = quality_by_period(CLASSIFICATION, rows, PERIODS)
    assert (first.labels, first.realised) == (2, 0.5)
    assert first.expected == pytest.approx(0.8)
    assert first.gap == pytest.approx(0.3)
    assert first.further["brier"] == pytest.approx((0.1**2 + 0.7**2) / 2)
    assert first.margin == pytest.approx(2 * 0.5 / math.sqrt(2))
    assert (second.labels, second.realised) == (1, 1.0)
    assert third == Quality(PERIODS[2], 0, further={"brier": None})
    assert (third.gap, math.isnan(third.margin)) == (None, True)
    reference = CLASSIFIER.reference.model_copy(update={"calibration": None})
    plain = make_task(replace(CLASSIFIER, reference=reference), Drift())
    assert overall_quality(plain, rows, PERIODS[0]).gap is None
    assert overall_quality(CLASSIFICATION, rows, PERIODS[0]).labels == 3


def test_the_errors_of_a_period_are_those_of_its_rows() -> None:
    rows = values_of([1, 2, 15], [30, 0, 10], [36, -12, 10])
    first, second, third = quality_by_period(REGRESSION, rows, PERIODS)
    assert (first.labels, first.realised, first.deviation) == (2, 9.0, 3.0)
    assert first.expected == pytest.approx((5.0 + 2.0) / 2)
    assert first.margin == pytest.approx(2 * 3 / math.sqrt(2))
    rmse = pytest.approx(math.sqrt((36 + 144) / 2))
    assert first.further == {"rmse": rmse, "bias": -3.0, "coverage": 0.5}
    assert second.realised == 0
    assert second.further == {"rmse": 0, "bias": 0, "coverage": 1}
    assert third == Quality(PERIODS[2], 0, further=dict.fromkeys(first.further))
    assert isinstance(REGRESSION, RegressionTask)
    assert (REGRESSION.rise(third), REGRESSION.rise_z(third)) == (None, None)


def test_the_rise_and_its_z_are_those_of_the_rules() -> None:
    task = RegressionTask(REGRESSOR, Drift())
    quality = Quality(PERIODS[0], 500, realised=5.0, deviation=6.0)
    assert task.rise(quality) == pytest.approx(0.25)
    assert task.rise_z(quality) == pytest.approx(1 / (6 * math.sqrt(1 / 500 + 1 / 2000)))
    narrow = Quality(PERIODS[0], 500, realised=5.0, deviation=1.0)
    assert task.rise_z(narrow) == pytest.approx(1 / (3 * math.sqrt(1 / 500 + 1 / 2000)))
    perfect = HELD_OUT.model_copy(update={"mean_absolute_error": 0.0, "deviation": 0.0})
    reference = REGRESSOR.reference.model_copy(update={"residuals": perfect})
    exact = RegressionTask(replace(REGRESSOR, reference=reference), Drift())
    assert exact.rise(quality) is None
    assert exact.rise_z(Quality(PERIODS[0], 5, realised=1.0, deviation=0.0)) is None


def test_what_is_unknown_of_all_rows_has_no_measure() -> None:
    rows = values_of([1, 2], [1, 1], [1, 1])
    rows.known["inside"][:] = np.nan
    assert overall_quality(REGRESSION, rows, PERIODS[0]).further["coverage"] is None
    labels = rows_of([1, 2], [True, False], [0.9, np.nan])
    quality = overall_quality(CLASSIFICATION, labels, PERIODS[0])
    assert (quality.realised, quality.further["brier"], quality.expected) == (0.5, None, None)
    assert [one.labels for one in by_score(CLASSIFICATION, labels)] == [1]


def test_the_bins_of_a_calibrated_model_are_within_two_errors_of_the_diagonal() -> None:
    random = np.random.default_rng(6)
    confidence = random.uniform(0.5, 1, 20_000)
    right = random.random(20_000) < confidence
    rows = rows_of([1.0] * 20_000, right.tolist(), confidence.tolist())
    bins = by_score(CLASSIFICATION, rows)
    assert [one.labels for one in bins] == [2000] * 10
    assert sum(abs(one.mean - one.score) < one.margin for one in bins) >= 9
    # Their expected accuracy is right within two percentage points.
    (quality,) = quality_by_period(CLASSIFICATION, rows, PERIODS[:1])
    assert quality.gap == pytest.approx(0, abs=0.02)


def test_residuals_are_grouped_by_predicted_value() -> None:
    predicted = np.arange(100.0)[::-1]
    rows = values_of(np.zeros(100).tolist(), predicted.tolist(), (predicted + 3).tolist())
    low, high = by_score(REGRESSION, rows, bins=2)
    assert (low.score, low.mean, low.labels) == (24.5, 3.0, 50)
    assert (high.score, high.low, high.high, high.margin) == (74.5, 3.0, 3.0, 0.0)
    assert by_score(REGRESSION, values_of([], [], [])) == []
    assert len(by_score(REGRESSION, values_of([0], [1], [2]))) == 1


def test_a_large_drop_of_accuracy_is_significant() -> None:
    # AA drops from 90 to 50 %, UA is unchanged, DL has too few labels.
    before = [True] * 90 + [False] * 10
    names = ["AA"] * 100 + ["UA"] * 100 + ["DL"] * 5
    now = [True] * 50 + [False] * 50 + before + [False] * 5
    rows = rows_of(
        [5] * 205 + [15] * 205, before + before + [True] * 5 + now, [0.9] * 410, carrier=names * 2
    )
    (segment,) = degraded_segments(CLASSIFICATION, rows, PERIODS[1])
    assert (segment.feature, segment.value) == ("carrier", "AA")
    assert (segment.before, segment.now, segment.labels) == (0.9, 0.5, 100)
    # z of two proportions of 100 labels each: 0.4 / sqrt(0.7 * 0.3 * 2 / 100)
    assert segment.z == pytest.approx(0.4 / (0.7 * 0.3 * 0.02) ** 0.5)
    assert segment.significant
    assert degraded_segments(CLASSIFICATION, rows, PERIODS[0]) == []


def test_a_large_rise_of_the_error_is_significant() -> None:
    random = np.random.default_rng(3)
    answered = [5.0] * 200 + [15.0] * 200
    carriers = (["AA"] * 100 + ["UA"] * 100) * 2
    scale = np.array([1.0] * 300 + [4.0] * 100)  # UA, now
    actual = scale * random.normal(size=400)
    rows = values_of(answered, [0.0] * 400, actual.tolist(), carrier=carriers)
    first, *others = degraded_segments(REGRESSION, rows, PERIODS[1])
    assert (first.feature, first.value, first.labels) == ("carrier", "UA", 100)
    errors = np.abs(actual)
    before, now = errors[100:200], errors[300:]
    assert (first.before, first.now) == (before.mean(), now.mean())
    # Welch's z of two means with unequal variances
    assert first.z == pytest.approx(
        (now.mean() - before.mean()) / math.sqrt((before.var() + now.var()) / 100)
    )
    assert first.significant
    assert not any(each.significant for each in others)


def test_a_small_drop_is_not_significant() -> None:
    right = [True] * 40 + [True] * 38 + [False] * 2
    rows = rows_of([5] * 40 + [15] * 40, right, [0.9] * 80, carrier=["AA"] * 80)
    (segment,) = degraded_segments(CLASSIFICATION, rows, PERIODS[1])
    assert not segment.significant


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        (
            CLASSIFICATION,
            rows_of([5] * 40 + [15] * 40, [True] * 80, [0.9] * 80, carrier=["AA"] * 80),
        ),
        (
            REGRESSION,
            values_of([5] * 40 + [15] * 40, [0] * 80, [1] * 80, carrier=["AA"] * 80),
        ),
        (REGRESSION, values_of([5, 15], [0, 0], [1, 9], carrier=["AA", "AA"])),
    ],
    ids=["no errors", "constant errors", "few labels"],
)
def test_a_segment_that_cannot_be_compared_is_not_worse(task: Task, rows: LabelledRows) -> None:
    assert degraded_segments(task, rows, PERIODS[1]) == []


def test_examples_are_the_errors_with_the_highest_confidence() -> None:
    rows = rows_of(
        [1, 2, 3, 4], [False, True, False, False], [0.7, 0.99, 0.95, 0.6], carrier=list("ABCD")
    )
    found = worst_predictions(CLASSIFICATION, rows, 2)
    assert [(one.known["confidence"], one.segments, one.row) for one in found] == [
        (0.95, ("C",), 2),
        (0.7, ("A",), 0),
    ]
    assert (found[0].predicted, found[0].actual, found[0].trace) == ("late", "on_time", f"{2:032x}")


def test_examples_of_values_are_the_largest_errors() -> None:
    rows = values_of([1, 2, 3], [10, 10, 10], [11, -20, 25], carrier=["AA", "UA", ""])
    found = worst_predictions(REGRESSION, rows, 2)
    assert [(each.actual, each.known["inside"], each.row) for each in found] == [
        (-20, 0, 1),
        (25, 0, 2),
    ]
    assert found[0].trace == f"{1:032x}"
    assert found[0].segments == ("UA",)
