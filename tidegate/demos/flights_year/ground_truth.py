"""Ground truth: what numpy computes from the rows that were sent, and whether that explains an alert."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay_record import ReplayRecord
from tidegate.monitoring.concept.detectors import Adwin
from tidegate.monitoring.counting.bin_counter import BinCounter
from tidegate.monitoring.counting.drift_test import DriftTest
from tidegate.monitoring.counting.reference import Counts
from tidegate.monitoring.report.alerts import FiredAlert
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.registry import make_task
from tidegate.rules.drift_rules import FAST, SECONDS
from tidegate.rules.model_alerts import TIERS
from tidegate.settings import Drift

Mask = npt.NDArray[np.bool_]
Subject: TypeAlias = tuple[str, str]
"""An alert's name, and the feature that it is about; empty if it is about the whole model."""

TILE_SECONDS: Final = 300
TILED_WINDOWS: Final = {"1h": 3600, "1d": 86_400}
# The age of the samples that an alert is about: a scrape, the interval of the rules, the alert's interval.
DELAY_SECONDS: Final = {FAST: 25, "5m": 25, "1h": 75, "1d": 75}
# From a label to the alert that it causes: delivery, the watcher's poll, a scrape, the rule.
WATCH_DELAY_SECONDS: Final = 30
CERTAINTY_FACTOR: Final = 1.1
"""A PSI above its threshold by this factor is certain to be above it in the rules, too."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the rows show about an alert.

    Attributes:
        text: a description with the figures.
        holds: whether the alert's condition is true for the rows.
    """

    text: str
    holds: bool


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
        self._tests = [
            DriftTest(each.counts, len(self._features), drift.significance)
            for each in self._features
        ]
        self._label_test = DriftTest(model.reference.predictions, 1, drift.significance)
        batches = record.batches
        matrix = np.concatenate([periods[b.period].matrix[list(b.rows)] for b in batches])
        self._bins = BinCounter(self._features, categories).bins(matrix)
        self._answered_at, self._labelled_at = record.row_answer_times(), record.row_label_times()
        self.period = record.row_periods()
        predicted = [label for batch in batches for label in batch.predicted]
        actual = [periods[b.period].actual[row] for b in batches for row in b.rows]
        self._predicted = np.array(predicted, np.str_)
        self.correct: Mask = self._predicted == np.array(actual, np.str_)
        self._confidence = np.array([one for b in batches for one in b.confidence])

    def psi(self, feature: str, rows: Mask) -> float:
        """A feature's PSI over some rows."""
        at = self._names.index(feature)
        return self._tests[at].index(self._counts(at, rows))

    def expected_accuracy(self, rows: Mask) -> float:
        """The expected fraction of correct predictions for these rows; NaN without a calibration."""
        expectation = make_task(self._model, self._drift).expectation()
        if expectation is None or not rows.any():
            return float("nan")
        return expectation.sum(self._confidence[rows]) / int(rows.sum())

    def answered_in(self, window: str, at: float) -> Mask:
        """The rows that were answered in the window of the rules that ends at this time."""
        return self._within(self._answered_at, window, at)

    def labelled_in(self, window: str, at: float) -> Mask:
        """The rows whose labels arrived in the window."""
        return self._within(self._labelled_at, window, at)

    def explain(self, alert: FiredAlert) -> Explanation:
        """Whether the rows explain an alert."""
        check = next(
            (check for prefix, check in CHECKS.items() if alert.name.startswith(prefix)), None
        )
        if check is None:
            return Explanation("the rows of the replay cannot explain this alert", holds=False)
        results: list[tuple[str, bool]] = list(check(self, alert))
        for text, holds in results:
            if holds:
                return Explanation(text, holds=True)
        return Explanation(results[0][0] if results else "no row is in its windows", holds=False)

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

    def feature(self, alert: FiredAlert) -> Iterator[tuple[str, bool]]:
        """Check an alert about one feature."""
        at = self._names.index(alert.subject)
        for window, rows in self._windows(alert, self.answered_in):
            yield self._drifted(alert, window, self._counts(at, rows), self._tests[at])

    def prediction(self, alert: FiredAlert) -> Iterator[tuple[str, bool]]:
        """Check an alert about the predicted labels."""
        for window, rows in self._windows(alert, self.answered_in):
            yield self._drifted(alert, window, self._label_counts(rows), self._label_test)

    def dataset(self, alert: FiredAlert) -> Iterator[tuple[str, bool]]:
        """Check the alert that a large fraction of the features has drifted."""
        for window, rows in self._windows(alert, self.answered_in):
            n, limit = int(rows.sum()), self._drift.psi_warning
            drifted = sum(
                test.drifted(self._counts(at, rows), limit) for at, test in enumerate(self._tests)
            )
            share = drifted / len(self._names)
            text = (
                f"{drifted} of {len(self._names)} features have drifted over {window} ({n:,} rows)"
            )
            yield text, n >= self._min_samples(window) and share >= self._drift.dataset_share

    def accuracy(self, alert: FiredAlert) -> Iterator[tuple[str, bool]]:
        """Check an alert that accuracy is lower than on held-out rows."""
        held_out, drift = self._model.accuracy or 0.0, self._drift
        concept = alert.name == "ModelConceptDrift"
        drop = (
            0.0
            if concept
            else _threshold(alert, drift.accuracy_drop_warning, drift.accuracy_drop_critical)
        )
        for window, rows in self._windows(alert, self.labelled_in):
            if window not in (("5m", "1h") if concept else ("1d",)) or not rows.any():
                continue
            n, accuracy = int(rows.sum()), float(self.correct[rows].mean())
            z = (held_out - accuracy) / (held_out * (1 - held_out) / n) ** 0.5
            text = (
                f"accuracy is {accuracy:.1%} over {window} ({n:,} labels), "
                f"{held_out:.1%} on held-out rows: z = {z:.1f}"
            )
            yield text, n >= drift.outcomes and held_out - accuracy > drop and z > drift.error_z

    def expectation(self, alert: FiredAlert) -> Iterator[tuple[str, bool]]:
        """Check the alert that expected accuracy is lower than on held-out rows."""
        held_out, drift = self._model.accuracy or 0.0, self._drift
        for window, rows in self._windows(alert, self.answered_in):
            if window == "1h" and rows.any():
                n, expected = int(rows.sum()), self.expected_accuracy(rows)
                text = f"expected accuracy is {expected:.1%} over 1h ({n:,} rows)"
                drop = held_out - expected
                yield text, n >= drift.samples and drop > drift.accuracy_drop_warning

    def change(self, alert: FiredAlert) -> Iterator[tuple[str, bool]]:
        """Check the alert of a detector: what the same detector finds in the labels that were sent."""
        labelled = int(np.isfinite(self._labelled_at).sum())
        order = np.argsort(self._labelled_at, kind="stable")[:labelled]
        times, wrong = self._labelled_at[order], ~self.correct[order]
        recent = (times > alert.begin - WATCH_DELAY_SECONDS) & (times <= alert.begin)
        if not recent.any():
            return
        if alert.subject == "adwin":
            found = [each for each in _adwin_changes(wrong) if recent[each[0]]]
            for _, before, after in found:
                yield f"ADWIN: the error rate changed from {before:.1%} to {after:.1%}", True
            if not found:
                yield "ADWIN finds no change in the most recent labels", False
            return
        n, held_out = self._drift.outcomes, 1 - (self._model.accuracy or 0.0)
        sums = np.concatenate([[0], np.cumsum(wrong)])
        ends = np.flatnonzero(recent) + 1
        rates = (sums[ends] - sums[np.maximum(ends - n, 0)]) / n
        rate = float(rates[ends >= n].max(initial=0.0))
        z = (rate - held_out) / (held_out * (1 - held_out) / n) ** 0.5
        text = (
            f"the error rate of the last {n} labels is {rate:.1%}, "
            f"{held_out:.1%} on held-out rows: z = {z:.1f}"
        )
        yield text, z > self._drift.error_z

    def _windows(
        self, alert: FiredAlert, rows_in: Callable[[str, float], Mask]
    ) -> Iterator[tuple[str, Mask]]:
        tier = (
            "Critical"
            if alert.severity == "critical" and alert.name != "DriftDataset"
            else "Warning"
        )
        for window in TIERS[tier]:  # type: ignore[index]
            for seconds in range(DELAY_SECONDS[window]):
                yield window, rows_in(window, alert.begin - seconds)

    def _within(self, times: npt.NDArray[np.float64], window: str, at: float) -> Mask:
        if window in TILED_WINDOWS:
            # Longer windows consist of tiles that end at multiples of the tile's length.
            at, length = at // TILE_SECONDS * TILE_SECONDS, TILED_WINDOWS[window]
        else:
            length = SECONDS[window]
        inside: Mask = (times > at - length) & (times <= at)
        return inside

    def _drifted(
        self, alert: FiredAlert, window: str, counts: Counts, test: DriftTest
    ) -> tuple[str, bool]:
        n = int(counts.sum())
        threshold = _threshold(alert, self._drift.psi_warning, self._drift.psi_critical)
        text = f"PSI {test.index(counts):.2f} over {window} ({n:,} rows)"
        return text, test.drifted(counts, threshold, self._min_samples(window))

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


Check: TypeAlias = Callable[[GroundTruth, FiredAlert], Iterator[tuple[str, bool]]]

CHECKS: Final[Mapping[str, Check]] = {
    "DriftFeature": GroundTruth.feature,
    "DriftPrediction": GroundTruth.prediction,
    "DriftDataset": GroundTruth.dataset,
    "ModelAccuracy": GroundTruth.accuracy,
    "ModelConceptDrift": GroundTruth.accuracy,
    "ModelExpectedAccuracyLow": GroundTruth.expectation,
    "ModelErrorRateChanged": GroundTruth.change,
}
"""The check of an alert, by the prefix of its name."""


def _adwin_changes(wrong: Mask) -> Iterator[tuple[int, float, float]]:
    """The positions where ADWIN finds a change, with the error rates before and after."""
    detector = Adwin()
    for position, is_wrong in enumerate(wrong.tolist()):
        if change := detector.update(is_wrong):
            yield position, change.before, change.after


def _threshold(alert: FiredAlert, warning: float, critical: float) -> float:
    return critical if alert.severity == "critical" else warning
