"""Distributions of the features and of the predicted labels in each period, beside those at training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.drift.report.counter_increases import Floats
from tidegate.monitoring.counting.psi import critical_value, psi, statistic
from tidegate.monitoring.counting.reference import Counts, FeatureReference, Reference


@dataclass(frozen=True, slots=True)
class Distribution:
    """The rows of one feature, or of the predicted labels, in the bins of its reference.

    Attributes:
        name: the feature's, or `predictions`.
        bins: the bins' names.
        reference: rows in each bin at training.
        counts: rows in each bin since; [periods, bins].
        critical_value: X² above this is significant.
    """

    name: str
    bins: tuple[str, ...]
    reference: Counts
    counts: Floats
    critical_value: float

    @property
    def total(self) -> Floats:
        """Rows in each bin, over all periods."""
        sums: Floats = self.counts.sum(axis=0)
        return sums

    @property
    def psi(self) -> float | None:
        """The PSI over all periods; None without rows."""
        return _psi(self.total, self.reference)

    def psi_by_period(self) -> list[float | None]:
        """The PSI of each period; None for a period without rows."""
        return [_psi(counts, self.reference) for counts in self.counts]

    def drifted(self, threshold: float, samples: int) -> bool:
        """Whether the PSI over all periods is above the threshold, on enough rows, and significant."""
        rows = float(self.total.sum())
        index = self.psi
        if index is None or rows < samples or index <= threshold:
            return False
        return statistic(index, rows, float(self.reference.sum())) > self.critical_value


def feature_distributions(
    reference: Reference,
    observed: Mapping[tuple[str, ...], Floats],
    periods: int,
    significance: float,
) -> list[Distribution]:
    """The distribution of each feature.

    Args:
        reference: the distributions at training.
        observed: rows of each period, by (feature, bin).
        periods: the number of periods.
        significance: the accepted probability of a false finding, over all features together.
    """
    comparisons = len(reference.features)
    return [
        _distribution(feature, observed, periods, comparisons, significance)
        for feature in reference.features
    ]


def prediction_distribution(
    reference: Reference,
    labels: Sequence[str],
    observed: Mapping[tuple[str, ...], Floats],
    periods: int,
    significance: float,
) -> Distribution | None:
    """The distribution of the predicted labels, or values by bin; None if the reference has none.

    Args:
        reference: the distributions at training.
        labels: the classes of a classifier, in order; else the bins' names are in the reference.
        observed: rows of each period, by (label,).
        periods: the number of periods.
        significance: the accepted probability of a false finding.
    """
    counts: Sequence[int] = reference.predictions
    if reference.prediction is not None:
        labels, counts = reference.prediction.labels, reference.prediction.counts
    if not counts:
        return None
    columns = [observed.get((label,), np.zeros(periods)) for label in labels]
    limit = critical_value(len(labels), 1, significance)
    at_training = np.array(counts, np.int64)
    return Distribution("predictions", tuple(labels), at_training, np.stack(columns, axis=1), limit)


def _distribution(
    feature: FeatureReference,
    observed: Mapping[tuple[str, ...], Floats],
    periods: int,
    comparisons: int,
    significance: float,
) -> Distribution:
    empty = np.zeros(periods)
    columns = [observed.get((feature.name, label), empty) for label in feature.labels]
    at_training = np.array(feature.counts, np.int64)
    limit = critical_value(len(feature.bins), comparisons, significance)
    counts = np.stack(columns, axis=1)
    return Distribution(feature.name, feature.labels, at_training, counts, limit)


def _psi(counts: Floats, reference: Counts) -> float | None:
    return psi(counts.astype(np.int64), reference) if counts.sum() else None
