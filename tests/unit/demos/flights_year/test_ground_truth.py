"""What numpy computes from the rows that a replay sent."""

from __future__ import annotations

import pytest

from support.samples.flights_replay import CATEGORIES, ROWS, START
from tidegate.demos.flights_year.ground_truth import GroundTruth
from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay_record import ReplayRecord
from tidegate.monitoring.counting.drift_test import psi
from tidegate.monitoring.counting.reference import count_numbers
from tidegate.monitoring.tasks.model import Model
from tidegate.settings import Drift


def test_a_window_has_the_rows_answered_in_it(record: ReplayRecord, truth: GroundTruth) -> None:
    assert record.answered == record.labelled == 2 * ROWS
    assert record.row_answer_times()[[0, -1]].tolist() == [START + 1, START + 90]
    assert truth.answered_in("2m", START + 90).sum() == 2 * ROWS
    assert truth.answered_in("2m", START + 30).sum() == ROWS
    # From 121 s on, the first request is outside.
    assert truth.answered_in("2m", START + 121).sum() == 2 * ROWS - 50
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


@pytest.mark.parametrize(("least", "judged"), [(2 * ROWS, True), (2 * ROWS + 1, False)])
def test_drift_is_judged_from_the_least_number_of_rows_on(
    model: Model, sent: list[ReplayPeriod], record: ReplayRecord, least: int, *, judged: bool
) -> None:
    truth = GroundTruth(model, CATEGORIES, sent, record, Drift(fast_samples=least, samples=least))
    assert bool(truth.critical_drift("2m", START + 90)) is judged
