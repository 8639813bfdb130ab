"""What numpy computes from the rows that a replay sent."""

from __future__ import annotations

import pytest

from support.samples.flights_replay import ROWS, START
from tidegate.demos.flights_year.ground_truth import GroundTruth
from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay_record import ReplayRecord
from tidegate.monitoring.counting.drift_test import psi
from tidegate.monitoring.counting.reference import count_numbers
from tidegate.monitoring.tasks.model import Model


def test_rows_are_answered_and_labelled_in_batches(record: ReplayRecord) -> None:
    assert record.answered == record.labelled == 2 * ROWS
    assert record.row_answer_times()[[0, -1]].tolist() == [START + 1, START + 90]
    record.labelled_at.pop()
    assert record.labelled == 2 * ROWS - 50
    assert [len(record.batches_of(month)) for month in range(3)] == [30, 30, 0]


def test_the_psi_of_a_period_is_that_of_its_rows(
    truth: GroundTruth, model: Model, sent: list[ReplayPeriod]
) -> None:
    bins = model.reference.features[0]
    expected = psi(count_numbers(bins.edges, sent[1].matrix[:, 0]), bins.counts)
    assert truth.psi("x", truth.period == 1) == pytest.approx(expected)
    assert expected > 0.5
    assert truth.psi("x", truth.period == 0) < 0.05


def test_a_feature_has_drifted_once_its_rows_have(truth: GroundTruth) -> None:
    assert truth.drifted(START + 60, 0.1, ROWS) == []
    assert truth.drifted(START + 90, 0.1, 2 * ROWS) == ["x"]
    assert truth.drifted(START + 90, 0.1, 2 * ROWS + 1) == []
    assert truth.drifted(START + 90, 0.5, ROWS) == []
    # Five minutes later the control is outside.
    assert truth.drifted(START + 350, 0.5, ROWS) == ["x"]
