"""Ground truth: what numpy computes from the rows that were sent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay_record import ReplayRecord
from tidegate.monitoring.counting.bin_counter import BinCounter
from tidegate.monitoring.counting.drift_test import psi
from tidegate.monitoring.counting.reference import Reference
from tidegate.rules.drift_rules import SECONDS

Mask = npt.NDArray[np.bool_]


class GroundTruth:
    """The rows of a replay.

    Args:
        reference: the distributions at training.
        categories: of each feature; empty for numbers.
        periods: the rows that were sent.
        record: when they were sent.
    """

    def __init__(
        self,
        reference: Reference,
        categories: Sequence[Sequence[str]],
        periods: Sequence[ReplayPeriod],
        record: ReplayRecord,
    ) -> None:
        self._features = {each.name: at for at, each in enumerate(reference.features)}
        self._counts = [each.counts for each in reference.features]
        batches = record.batches
        matrix = np.concatenate([periods[b.period].matrix[list(b.rows)] for b in batches])
        self._bins = BinCounter(reference.features, categories).bins(matrix)
        self._answered_at = record.row_answer_times()
        self.period = record.row_periods()
        predicted = [label for batch in batches for label in batch.predicted]
        actual = [periods[b.period].actual[row] for b in batches for row in b.rows]
        self.correct: Mask = np.array(predicted, np.str_) == np.array(actual, np.str_)

    def psi(self, feature: str, rows: Mask) -> float:
        """A feature's PSI over some rows."""
        at = self._features[feature]
        expected = self._counts[at]
        return psi(np.bincount(self._bins[rows, at], minlength=len(expected)), expected)

    def drifted(self, at: float, index: float, least: int) -> list[str]:
        """The features whose PSI in the rules' 5 minutes until a time is above this one, on enough rows."""
        rows = (self._answered_at > at - SECONDS["5m"]) & (self._answered_at <= at)
        enough = rows.sum() >= least
        return [name for name in self._features if enough and self.psi(name, rows) > index]
