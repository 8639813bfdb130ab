"""Ground truth: what numpy computes from the rows that were sent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay_record import ReplayRecord
from tidegate.monitoring.counting.bin_counter import BinCounter
from tidegate.monitoring.counting.drift_test import DriftTest
from tidegate.monitoring.counting.reference import Counts
from tidegate.monitoring.tasks.model import Model
from tidegate.rules.drift_rules import FAST, SECONDS
from tidegate.settings import Drift

Mask = npt.NDArray[np.bool_]
Subject: TypeAlias = tuple[str, str]
"""An alert's name, and the feature that it is about; empty if it is about the whole model."""

CERTAINTY_FACTOR: Final = 1.1
"""A PSI above its threshold by this factor is certain to be above it in the rules, too."""


class GroundTruth:
    """The rows of a replay, over any window of it.

    Args:
        model: the model that answered.
        categories: of each feature; empty for numbers.
        periods: the rows that were sent.
        record: when they were sent.
        drift: the thresholds.
    """

    def __init__(
        self,
        model: Model,
        categories: Sequence[Sequence[str]],
        periods: Sequence[ReplayPeriod],
        record: ReplayRecord,
        drift: Drift,
    ) -> None:
        self._model, self._drift = model, drift
        self._features = model.reference.features
        self._tests = model.reference.feature_tests(drift.significance)
        self._label_test = DriftTest(model.reference.predictions, 1, drift.significance)
        batches = record.batches
        matrix = np.concatenate([periods[b.period].matrix[list(b.rows)] for b in batches])
        self._bins = BinCounter(self._features, categories).bins(matrix)
        self._answered_at = record.row_answer_times()
        self.period = record.row_periods()
        predicted = [label for batch in batches for label in batch.predicted]
        actual = [periods[b.period].actual[row] for b in batches for row in b.rows]
        self._predicted = np.array(predicted, np.str_)
        self.correct: Mask = self._predicted == np.array(actual, np.str_)

    def psi(self, feature: str, rows: Mask) -> float:
        """A feature's PSI over some rows."""
        at = self._names.index(feature)
        return self._tests[at].index(self._counts(at, rows))

    def answered_in(self, window: str, at: float) -> Mask:
        """The rows that were answered in the window of the rules that ends at this time."""
        inside: Mask = (self._answered_at > at - SECONDS[window]) & (self._answered_at <= at)
        return inside

    def critical_drift(self, window: str, at: float) -> dict[Subject, float]:
        """The PSI of everything that had certainly drifted critically over a window."""
        rows = self.answered_in(window, at)
        n, found = int(rows.sum()), dict[Subject, float]()
        if n < self._min_samples(window):
            return found
        compared: list[tuple[Subject, DriftTest, Counts]] = [
            (("DriftFeatureCritical", name), self._tests[number], self._counts(number, rows))
            for number, name in enumerate(self._names)
        ]
        labels = self._label_counts(rows)
        compared.append((("DriftPredictionCritical", ""), self._label_test, labels))
        for subject, test, counts in compared:
            if test.drifted(counts, self._drift.psi_critical, factor=CERTAINTY_FACTOR):
                found[subject] = test.index(counts)
        return found

    def _label_counts(self, rows: Mask) -> Counts:
        predicted = self._predicted[rows]
        return np.array([(predicted == label).sum() for label in self._model.labels])

    def _counts(self, feature: int, rows: Mask) -> Counts:
        size = len(self._features[feature].counts)
        return np.bincount(self._bins[rows, feature], minlength=size)

    def _min_samples(self, window: str) -> int:
        return self._drift.fast_samples if window == FAST else self._drift.samples

    @cached_property
    def _names(self) -> list[str]:
        return [feature.name for feature in self._features]
