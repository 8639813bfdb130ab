"""The ground truth explains an alert by the rows in its windows."""

from __future__ import annotations

import numpy as np
import pytest

from support.samples.flights_replay import CATEGORIES, ROWS, START
from tidegate.demos.flights_year.ground_truth import GroundTruth
from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay_record import ReplayRecord
from tidegate.monitoring.counting.drift_test import psi
from tidegate.monitoring.counting.reference import count_numbers
from tidegate.monitoring.report.alerts import FiredAlert
from tidegate.monitoring.tasks.model import Model
from tidegate.settings import Drift

# The rules' tiles end every five minutes; at this time all rows are in the longer windows.
LATER = START + 305


def fired(
    name: str, subject: str = "", severity: str = "critical", at: float = START + 125
) -> FiredAlert:
    return FiredAlert(name, subject, severity, at, at + 5)


def test_a_record_has_the_answer_time_and_the_label_time_of_each_row(record: ReplayRecord) -> None:
    assert record.answered == record.labelled == 2 * ROWS
    assert record.row_answer_times()[[0, -1]].tolist() == [START + 1, START + 90]
    assert record.row_label_times()[[0, -1]].tolist() == [START + 61, START + 150]
    record.labelled_at.pop()
    assert record.labelled == 2 * ROWS - 50
    assert np.isinf(record.row_label_times()[-50:]).all()
    assert [len(record.batches_of(month)) for month in range(3)] == [30, 30, 0]


def test_a_window_has_the_rows_answered_in_it_and_a_long_window_consists_of_tiles(
    truth: GroundTruth,
) -> None:
    assert truth.answered_in("2m", START + 90).sum() == 2 * ROWS
    assert truth.answered_in("2m", START + 30).sum() == ROWS
    # From 121 s on, the first request is outside.
    assert truth.answered_in("2m", START + 121).sum() == 2 * ROWS - 50
    assert truth.answered_in("1h", START + 299).sum() == 0
    assert truth.answered_in("1h", START + 301).sum() == 2 * ROWS
    assert truth.labelled_in("5m", START + 90).sum() == ROWS


def test_the_psi_of_a_period_is_that_of_its_rows(
    truth: GroundTruth, model: Model, sent: list[ReplayPeriod]
) -> None:
    bins = model.reference.features[0]
    expected = psi(count_numbers(bins.edges, sent[1].matrix[:, 0]), bins.counts)
    assert truth.psi("x", truth.period == 1) == pytest.approx(expected)
    assert expected > 0.5
    assert truth.psi("x", truth.period == 0) < 0.05
    assert truth.expected_accuracy(truth.period == 0) == pytest.approx(0.9)
    assert np.isnan(truth.expected_accuracy(truth.period == 9))


@pytest.mark.parametrize(
    ("alert", "holds", "text"),
    [
        (fired("DriftFeatureCritical", "x", at=START + 200), True, "over 2m ("),
        (fired("DriftFeatureCritical", "carrier"), False, "PSI 0.0"),
        (fired("DriftFeatureWarning", "x", "warning"), True, "over 5m (3,000 rows)"),
        # Before the drift.
        (fired("DriftFeatureCritical", "x", at=START + 40), False, "over 2m (1,500 rows)"),
        # Before the first row.
        (fired("DriftFeatureCritical", "x", at=START - 40), False, "over 2m (0 rows)"),
        # All predictions are on_time; at training a fifth were late.
        (fired("DriftPredictionCritical", at=START + 110), True, "over 2m (3,000 rows)"),
        (fired("DriftDataset"), True, "1 of 2 features have drifted over 5m (3,000 rows)"),
        (fired("DriftDataset", at=START + 40), False, "0 of 2 features"),
        # Accuracy is 75 % on 3,000 labels, and 90 % on held-out rows.
        (
            fired("ModelAccuracyCritical", at=LATER),
            True,
            "accuracy is 75.0% over 1d (3,000 labels)",
        ),
        (fired("ModelAccuracyWarning", "", "warning", LATER), True, "z = 27"),
        (
            fired("ModelConceptDrift", at=START + 160),
            True,
            "accuracy is 75.0% over 5m (3,000 labels)",
        ),
        (
            fired("ModelConceptDrift", at=START + 95),
            False,
            "accuracy is 90.0% over 5m (1,500 labels)",
        ),
        (fired("ModelConceptDrift", at=START), False, "no row is in its windows"),
        # Expected accuracy is unchanged.
        (
            fired("ModelExpectedAccuracyLow", "", "warning", LATER),
            False,
            "expected accuracy is 90.0% over 1h (3,000 rows)",
        ),
        # The last predictions of a period are wrong, the first ones correct.
        (
            fired("ModelErrorRateChanged", "z", "warning", START + 150),
            True,
            "% on held-out rows: z = ",
        ),
        (fired("ModelErrorRateChanged", "z", "warning", START + 85), False, "z = "),
        (
            fired("ModelErrorRateChanged", "adwin", "warning", START + 140),
            True,
            "ADWIN: the error rate changed from ",
        ),
        (fired("ModelErrorRateChanged", "adwin", "warning", START + 85), False, "finds no change"),
        (fired("ModelErrorRateChanged", "adwin", "warning", START), False, "no row is in its"),
        (fired("ModelFeedbackForged", "", "warning"), False, "cannot explain this alert"),
    ],
    ids=lambda value: f"{value.name}-{value.begin:.0f}" if isinstance(value, FiredAlert) else "",
)
def test_an_alert_is_explained_only_by_its_rows(
    truth: GroundTruth, alert: FiredAlert, holds: bool, text: str
) -> None:
    explanation = truth.explain(alert)
    assert (explanation.holds, text in explanation.text) == (holds, True), explanation.text


def test_low_expected_accuracy_explains_its_alert(
    model: Model, sent: list[ReplayPeriod], record: ReplayRecord
) -> None:
    # Expected accuracy is 90 %, accuracy on held-out rows 92 %; the threshold is one percentage point.
    from dataclasses import replace

    drift = Drift(accuracy_drop_warning=0.01, accuracy_drop_critical=0.05)
    truth = GroundTruth(replace(model, accuracy=0.92), CATEGORIES, sent, record, drift)
    assert truth.explain(fired("ModelExpectedAccuracyLow", "", "warning", LATER)).holds
    without = model.reference.model_copy(update={"calibration": None})
    uncalibrated = GroundTruth(replace(model, reference=without), CATEGORIES, sent, record, drift)
    assert not uncalibrated.explain(fired("ModelExpectedAccuracyLow", "", "warning", LATER)).holds
