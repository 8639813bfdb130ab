"""A small model, two months of rows for it, and the record of how they were sent."""

from __future__ import annotations

import pytest

from support.flights_replay import BATCH, CATEGORIES, FEATURES, ROWS, START, rows
from tidegate.demos.flights_year.ground_truth import GroundTruth
from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay_record import Batch, ReplayRecord
from tidegate.drift.counting.reference import Calibration
from tidegate.drift.report.findings import Model
from tidegate.service.artefacts.reference import build_reference
from tidegate.settings import Drift


@pytest.fixture(scope="session")
def model() -> Model:
    curve = Calibration(confidence=(0.5, 1.0), correct=(0.5, 1.0), samples=100)
    reference = build_reference(FEATURES, rows(0.0, 1, 5000), curve, (1000, 4000))
    return Model("flights", "v1", ("late", "on_time"), 0.9, reference)


@pytest.fixture(scope="session")
def sent() -> list[ReplayPeriod]:
    """A month like the training with 90 % on time, and one shifted by one, with 60 %."""
    on_time = [1350, 900]
    return [
        ReplayPeriod(
            name, rows(mean, seed), tuple(["on_time"] * right + ["late"] * (ROWS - right))
        )
        for name, mean, seed, right in (("control", 0.0, 2, on_time[0]), ("Mar", 1.0, 3, on_time[1]))
    ]  # fmt: skip


@pytest.fixture
def record() -> ReplayRecord:
    """Each month in 30 requests a second apart, from `START` on; labels come 60 seconds later."""
    made = ReplayRecord(spans=[(START, START + 60), (START + 60, START + 120)])
    for month in range(2):
        for turn in range(ROWS // BATCH):
            part = tuple(range(turn * BATCH, (turn + 1) * BATCH))
            at = START + 60 * month + turn + 1
            given = ("on_time",) * BATCH
            ids = tuple(f"{month}-{row}" for row in part)
            made.batches.append(Batch(month, part, at, given, (0.9,) * BATCH, ids))
            made.labelled_at.append(at + 60)
    return made


@pytest.fixture
def truth(model: Model, sent: list[ReplayPeriod], record: ReplayRecord) -> GroundTruth:
    return GroundTruth(model, CATEGORIES, sent, record, Drift())
