"""The number of rows that are predicted on the event loop is measured for each model."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from tidegate.service.model.artefact import ONNX, Artefact
from tidegate.service.model.features import Matrix
from tidegate.service.model.loaded_model import (
    INLINE_SECONDS,
    SLOW_SECONDS,
    TRIES,
    inline_rows,
    open_predictor,
)


class TimedModel:
    """A model whose calls take `call` plus `row` seconds per row, and `delay` more the first time."""

    def __init__(self, call: float, row: float, delay: float = 0.0) -> None:
        self.call, self.row, self.delay = call, row, delay
        self.now, self.calls = 0.0, 0

    def predict(self, matrix: Matrix) -> None:
        self.calls += 1
        self.now += self.call + self.row * len(matrix) + self.delay
        self.delay = 0.0

    def clock(self) -> float:
        return self.now


def rows_of_zeros(count: int) -> Matrix:
    return np.zeros((count, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "row", "max_rows"),
    [
        (0.0, INLINE_SECONDS / 1000, 128),
        (0.0, INLINE_SECONDS / 20, 16),
        (INLINE_SECONDS / 2, INLINE_SECONDS / 8.1, 4),
        (0.0, INLINE_SECONDS * 2, 0),
    ],
)
def test_batches_within_the_time_limit_run_on_the_event_loop(
    call: float, row: float, max_rows: int
) -> None:
    model = TimedModel(call, row)
    assert inline_rows(model.predict, rows_of_zeros, model.clock) == max_rows


def test_a_slow_model_is_called_a_few_times_and_an_interruption_does_not_count() -> None:
    slow, interrupted = TimedModel(0.1, 0.1), TimedModel(0, 0, delay=1)
    assert inline_rows(slow.predict, rows_of_zeros, slow.clock) == 0
    assert slow.calls == TRIES
    very_slow = TimedModel(10, 10)
    assert inline_rows(very_slow.predict, rows_of_zeros, very_slow.clock) == 0
    assert very_slow.calls == 1, "otherwise the replica would not be ready in time"
    assert inline_rows(interrupted.predict, rows_of_zeros, interrupted.clock) == 128


def test_what_takes_much_of_the_processor_is_tried_once() -> None:
    calls = []

    def busy(matrix: Matrix) -> None:
        calls.append(len(matrix))
        end = time.thread_time() + 2 * SLOW_SECONDS
        while time.thread_time() < end:
            pass

    assert inline_rows(busy, rows_of_zeros) == 0
    assert calls == [1]


def test_a_model_is_measured_on_its_samples_or_on_zeros(flights: Artefact, tmp_path: Path) -> None:
    _, rows = open_predictor(flights)
    assert rows.shape == (32, len(flights.manifest.features))
    assert len(np.unique(rows, axis=0)) == 32
    shutil.copy(flights.path / ONNX, tmp_path)
    _, zeros = open_predictor(Artefact(tmp_path, flights.manifest))
    assert zeros.shape == (1, len(flights.manifest.features))
    assert not zeros.any()
