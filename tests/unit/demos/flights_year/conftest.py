"""A small model, two periods of rows, and the record of sending them."""

from __future__ import annotations

import pytest

from support.samples.flights_replay import BATCH, CATEGORIES, FEATURES, ROWS, START, rows
from tidegate.demos.flights_year.ground_truth import GroundTruth
from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay_record import Batch, ReplayRecord
from tidegate.monitoring.counting.reference import Calibration
from tidegate.monitoring.tasks.model import Model
from tidegate.service.artefacts.reference import build_reference


@pytest.fixture(scope="session")
def model() -> Model:
    curve = Calibration(confidence=(0.5, 1.0), correct=(0.5, 1.0), samples=100)
    found = build_reference(FEATURES, rows(0.0, 1, 5000), calibration=curve)
    reference = found.model_copy(update={"predictions": (1000, 4000)})
    return Model("flights", "v1", ("late", "on_time"), 0.9, reference)


@pytest.fixture(scope="session")
def sent() -> list[ReplayPeriod]:
    """A period as at training with 90 % on time, and one shifted by one with 60 % on time."""
    on_time = [1350, 900]
    return [
        ReplayPeriod(
            name, rows(mean, seed), tuple(["on_time"] * right + ["late"] * (ROWS - right))
        )
        for name, mean, seed, right in (("control", 0.0, 2, on_time[0]), ("Mar", 1.0, 3, on_time[1]))
    ]  # fmt: skip


@pytest.fixture
def record() -> ReplayRecord:
    """Each period in 30 requests, one per second from `START` on; labels arrive 60 seconds later."""
    record = ReplayRecord(spans=[(START, START + 60), (START + 60, START + 120)])
    for period in range(2):
        for number in range(ROWS // BATCH):
            part = tuple(range(number * BATCH, (number + 1) * BATCH))
            at = START + 60 * period + number + 1
            predicted = ("on_time",) * BATCH
            ids = tuple(f"{period}-{row}" for row in part)
            record.batches.append(Batch(period, part, at, predicted, ids))
            record.labelled_at.append(at + 60)
    return record


@pytest.fixture
def truth(model: Model, sent: list[ReplayPeriod], record: ReplayRecord) -> GroundTruth:
    return GroundTruth(model.reference, CATEGORIES, sent, record)
