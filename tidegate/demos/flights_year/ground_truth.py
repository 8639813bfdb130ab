"""Ground truth: what numpy says of the very rows that were sent, and whether it explains an alert."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.demos.flights_year.periods import Month
from tidegate.demos.flights_year.record import Record
from tidegate.drift.concept.detectors import Adwin
from tidegate.drift.counting.bin_counter import BinCounter
from tidegate.drift.counting.psi import critical_value, psi, statistic
from tidegate.drift.counting.reference import Counts
from tidegate.drift.report.alerts import Fired
from tidegate.drift.report.findings import Model
from tidegate.rules.drift_alerts import TIERS
from tidegate.rules.drift_rules import FAST, SECONDS
from tidegate.settings import Drift

Mask = npt.NDArray[np.bool_]
Subject: TypeAlias = tuple[str, str]
"""An alert's name, and the feature that it is about; empty if it is about the whole model."""

TILE_SECONDS: Final = 300
LONG: Final = {"1h": 3600, "1d": 86_400}
# An alert speaks of what was recorded some time before: a scrape, the rule's interval, the alert's own.
LATE: Final = {FAST: 25, "5m": 25, "1h": 75, "1d": 75}
# From a label to the alert that it raises: its delivery, the watcher's look, a scrape, the rule.
WATCHED_SECONDS: Final = 30
CLEARLY: Final = 1.1
"""By this factor a PSI must be above its threshold for the rules to be certain to see it so."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What the rows say about an alert.

    Attributes:
        text: in words, with the figures.
        holds: whether the alert's condition is true of the rows.
    """

    text: str
    holds: bool


class Truth:
    """The rows of a replay, to be asked about any window of it.

    Args:
        model: what answered.
        categories: of each feature, empty for numbers.
        months: what was sent.
        record: when it was.
        drift: the thresholds.
    """

    def __init__(
        self,
        model: Model,
        categories: Sequence[Sequence[str]],
        months: Sequence[Month],
        record: Record,
        drift: Drift,
    ) -> None:
        self._model, self._drift, self._record = model, drift, record
        self._features = model.reference.features
        matrix = np.concatenate([months[b.month].matrix[list(b.rows)] for b in record.batches])
        self._bins = BinCounter(self._features, categories).bins(matrix)
        self._answered, self._known = record.when_answered(), record.when_known()
        self.month = record.months()
        predicted = [label for batch in record.batches for label in batch.predicted]
        actual = [months[b.month].actual[row] for b in record.batches for row in b.rows]
        self._predicted = np.array(predicted, np.str_)
        self.right: Mask = self._predicted == np.array(actual, np.str_)
        self._confidence = np.array([one for b in record.batches for one in b.confidence])

    def psi(self, feature: str, rows: Mask) -> float:
        """A feature's PSI over some rows."""
        at = self._names.index(feature)
        return psi(self._counts(at, rows), self._features[at].counts)

    def expected(self, rows: Mask) -> float:
        """The share of these rows' labels that is expected to be right; NaN without a calibration."""
        expectation = self._model.expectation
        if expectation is None or not rows.any():
            return float("nan")
        return expectation.correct(self._confidence[rows]) / int(rows.sum())

    def answered_in(self, window: str, at: float) -> Mask:
        """The rows that a window of the rules holds at a moment."""
        return self._within(self._answered, window, at)

    def labelled_in(self, window: str, at: float) -> Mask:
        """The rows whose labels it holds."""
        return self._within(self._known, window, at)

    def reason(self, alert: Fired) -> Reason:
        """Whether the rows explain an alert."""
        explain = next(
            (how for name, how in EXPLAINED.items() if alert.name.startswith(name)), None
        )
        if explain is None:
            return Reason("the replay has no rows to tell", holds=False)
        said: list[tuple[str, bool]] = list(explain(self, alert))
        for text, holds in said:
            if holds:
                return Reason(text, holds=True)
        return Reason(said[0][0] if said else "no row is in its windows", holds=False)

    def far(self, window: str, at: float) -> dict[Subject, float]:
        """What had clearly drifted far over a window at a moment, with its PSI."""
        rows = self.answered_in(window, at)
        n, far = int(rows.sum()), dict[Subject, float]()
        if n < self._floor(window):
            return far
        share = self._drift.significance
        for place, feature in enumerate(self._features):
            limit = critical_value(len(feature.counts), len(self._features), share)
            if index := self._clearly(self._counts(place, rows), feature.counts, limit):
                far["DriftFeatureCritical", feature.name] = index
        limit = critical_value(len(self._model.labels), 1, share)
        if index := self._clearly(self._given(rows), self._model.reference.predictions, limit):
            far["DriftPredictionCritical", ""] = index
        return far

    def feature(self, alert: Fired) -> Iterator[tuple[str, bool]]:
        """For an alert about one feature."""
        at = self._names.index(alert.subject)
        reference = np.array(self._features[at].counts)
        limit = critical_value(len(reference), len(self._features), self._drift.significance)
        for window, rows in self._windows(alert, self.answered_in):
            yield self._drifted(alert, window, self._counts(at, rows), reference, limit)

    def prediction(self, alert: Fired) -> Iterator[tuple[str, bool]]:
        """For an alert about the labels given."""
        reference = np.array(self._model.reference.predictions)
        limit = critical_value(len(self._model.labels), 1, self._drift.significance)
        for window, rows in self._windows(alert, self.answered_in):
            yield self._drifted(alert, window, self._given(rows), reference, limit)

    def dataset(self, alert: Fired) -> Iterator[tuple[str, bool]]:
        """For the alert that much of the data has drifted."""
        for window, rows in self._windows(alert, self.answered_in):
            n, limit = int(rows.sum()), self._drift.psi_warning
            over = sum(self._is_drift(at, rows, limit) for at in range(len(self._names)))
            share = over / len(self._names)
            text = f"{over} of {len(self._names)} features have drifted over {window} ({n:,} rows)"
            yield text, n >= self._floor(window) and share >= self._drift.dataset_share

    def accuracy(self, alert: Fired) -> Iterator[tuple[str, bool]]:
        """For alerts that labels are right less often than on held-out rows."""
        usual, drift = self._model.accuracy or 0.0, self._drift
        concept = alert.name == "ModelConceptDrift"
        fall = (
            0.0
            if concept
            else _tier(alert, drift.accuracy_drop_warning, drift.accuracy_drop_critical)
        )
        for window, rows in self._windows(alert, self.labelled_in):
            if window not in (("5m", "1h") if concept else ("1d",)) or not rows.any():
                continue
            n, is_now = int(rows.sum()), float(self.right[rows].mean())
            z = (usual - is_now) / (usual * (1 - usual) / n) ** 0.5
            text = f"{is_now:.1%} of {n:,} labels are right over {window}, {usual:.1%} usually: z = {z:.1f}"
            yield text, n >= drift.outcomes and usual - is_now > fall and z > drift.error_z

    def expectation(self, alert: Fired) -> Iterator[tuple[str, bool]]:
        """For the alert that labels are expected to be right less often."""
        usual, drift = self._model.accuracy or 0.0, self._drift
        for window, rows in self._windows(alert, self.answered_in):
            if window == "1h" and rows.any():
                n, expected = int(rows.sum()), self.expected(rows)
                text = f"{expected:.1%} of {n:,} rows are expected to be right over 1h"
                yield text, n >= drift.samples and usual - expected > drift.accuracy_drop_warning

    def change(self, alert: Fired) -> Iterator[tuple[str, bool]]:
        """For the alert of a detector that reads label after label: what it says of those that were sent."""
        order = np.argsort(self._known, kind="stable")[: int(np.isfinite(self._known).sum())]
        times, wrong = self._known[order], ~self.right[order]
        recent = (times > alert.begin - WATCHED_SECONDS) & (times <= alert.begin)
        if not recent.any():
            return
        if alert.subject == "adwin":
            found = [each for each in _adwin_changes(wrong) if recent[each[0]]]
            for _, before, after in found:
                yield f"by ADWIN the error rate went from {before:.1%} to {after:.1%}", True
            if not found:
                yield "ADWIN finds no change in the labels that had just come", False
            return
        n, usual = self._drift.outcomes, 1 - (self._model.accuracy or 0.0)
        sums = np.concatenate([[0], np.cumsum(wrong)])
        ends = np.flatnonzero(recent) + 1
        rates = (sums[ends] - sums[np.maximum(ends - n, 0)]) / n
        rate = float(rates[ends >= n].max(initial=0.0))
        z = (rate - usual) / (usual * (1 - usual) / n) ** 0.5
        text = f"{rate:.1%} of the last {n} labels are wrong, {usual:.1%} usually: z = {z:.1f}"
        yield text, z > self._drift.error_z

    def _windows(
        self, alert: Fired, rows_in: Callable[[str, float], Mask]
    ) -> Iterator[tuple[str, Mask]]:
        tier = (
            "Critical"
            if alert.severity == "critical" and alert.name != "DriftDataset"
            else "Warning"
        )
        for window in TIERS[tier]:  # type: ignore[index]
            for seconds in range(LATE[window]):
                yield window, rows_in(window, alert.begin - seconds)

    def _within(self, times: npt.NDArray[np.float64], window: str, at: float) -> Mask:
        if window in LONG:
            # Longer windows are made of tiles that end at whole multiples of their length.
            at, length = at // TILE_SECONDS * TILE_SECONDS, LONG[window]
        else:
            length = SECONDS[window]
        inside: Mask = (times > at - length) & (times <= at)
        return inside

    def _drifted(
        self, alert: Fired, window: str, counts: Counts, reference: Counts, limit: float
    ) -> tuple[str, bool]:
        n, index = int(counts.sum()), psi(counts, reference)
        threshold = _tier(alert, self._drift.psi_warning, self._drift.psi_critical)
        chance = statistic(index, n, float(reference.sum()))
        text = f"PSI {index:.2f} of {n:,} rows over {window}"
        return text, n >= self._floor(window) and index > threshold and chance > limit

    def _is_drift(self, at: int, rows: Mask, threshold: float) -> bool:
        reference = np.array(self._features[at].counts)
        counts = self._counts(at, rows)
        index = psi(counts, reference)
        limit = critical_value(len(reference), len(self._features), self._drift.significance)
        chance = statistic(index, float(counts.sum()), float(reference.sum()))
        return index > threshold and chance > limit

    def _clearly(self, counts: Counts, reference: Sequence[int], limit: float) -> float:
        """The PSI, if it is critical beyond doubt; else 0."""
        index = psi(counts, reference)
        chance = statistic(index, float(counts.sum()), float(sum(reference)))
        certain = index > CLEARLY * self._drift.psi_critical and chance > CLEARLY * limit
        return index if certain else 0.0

    def _given(self, rows: Mask) -> Counts:
        given = self._predicted[rows]
        return np.array([(given == label).sum() for label in self._model.labels])

    def _counts(self, feature: int, rows: Mask) -> Counts:
        size = len(self._features[feature].counts)
        return np.bincount(self._bins[rows, feature], minlength=size)

    def _floor(self, window: str) -> int:
        return self._drift.fast_samples if window == FAST else self._drift.samples

    @cached_property
    def _names(self) -> list[str]:
        return [feature.name for feature in self._features]


Explain: TypeAlias = Callable[[Truth, Fired], Iterator[tuple[str, bool]]]

EXPLAINED: Final[Mapping[str, Explain]] = {
    "DriftFeature": Truth.feature,
    "DriftPrediction": Truth.prediction,
    "DriftDataset": Truth.dataset,
    "ModelAccuracy": Truth.accuracy,
    "ModelConceptDrift": Truth.accuracy,
    "ModelExpectedAccuracyLow": Truth.expectation,
    "ModelErrorRateChanged": Truth.change,
}
"""How an alert is explained, by what its name begins with."""


def _adwin_changes(wrong: Mask) -> Iterator[tuple[int, float, float]]:
    """Where ADWIN finds a change in a row of labels, and the error rate before and after."""
    detector = Adwin()
    for place, one in enumerate(wrong.tolist()):
        if change := detector.update(one):
            yield place, change.before, change.after


def _tier(alert: Fired, warning: float, critical: float) -> float:
    return critical if alert.severity == "critical" else warning
