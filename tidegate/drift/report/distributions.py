"""Distributions of features and answers, period by period, against those of the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.drift.counting.psi import critical_value, psi, statistic
from tidegate.drift.counting.reference import Counts, FeatureReference, Reference
from tidegate.drift.report.counter_increases import Floats


@dataclass(frozen=True, slots=True)
class Distribution:
    """What was counted of one feature, or of the answers, in the bins of its reference.

    Attributes:
        name: the feature's, or `answers`.
        bins: the bins' names.
        reference: rows in each at training.
        counts: rows in each now; [periods, bins].
        limit: what X² exceeds by chance only.
    """

    name: str
    bins: tuple[str, ...]
    reference: Counts
    counts: Floats
    limit: float

    @property
    def now(self) -> Floats:
        """Rows in each bin, over all periods."""
        added: Floats = self.counts.sum(axis=0)
        return added

    @property
    def index(self) -> float | None:
        """The PSI over all periods; None without rows."""
        return _index(self.now, self.reference)

    def indices(self) -> list[float | None]:
        """The PSI of each period; None where there are no rows."""
        return [_index(counts, self.reference) for counts in self.counts]

    def drifted(self, threshold: float, samples: int) -> bool:
        """Whether it has drifted, over all periods: so far, on so many rows, and not by chance."""
        rows = float(self.now.sum())
        index = self.index
        if index is None or rows < samples or index <= threshold:
            return False
        return statistic(index, rows, float(self.reference.sum())) > self.limit


def distributions(
    reference: Reference,
    observed: Mapping[tuple[str, ...], Floats],
    periods: int,
    significance: float,
) -> list[Distribution]:
    """Each feature's, from rows by (feature, bin) and period."""
    together = len(reference.features)
    return [
        _distribution(feature, observed, periods, together, significance)
        for feature in reference.features
    ]


def answers(
    reference: Reference,
    labels: Sequence[str],
    observed: Mapping[tuple[str, ...], Floats],
    periods: int,
    significance: float,
) -> Distribution | None:
    """That of the labels given, from rows by (label,) and period; None without a reference for it."""
    if not reference.predictions:
        return None
    columns = [observed.get((label,), np.zeros(periods)) for label in labels]
    limit = critical_value(len(labels), 1, significance)
    kept = np.array(reference.predictions, np.int64)
    return Distribution("answers", tuple(labels), kept, np.stack(columns, axis=1), limit)


def _distribution(
    feature: FeatureReference,
    observed: Mapping[tuple[str, ...], Floats],
    periods: int,
    together: int,
    significance: float,
) -> Distribution:
    empty = np.zeros(periods)
    columns = [observed.get((feature.name, label), empty) for label in feature.labels]
    kept = np.array(feature.counts, np.int64)
    limit = critical_value(len(feature.bins), together, significance)
    return Distribution(feature.name, feature.labels, kept, np.stack(columns, axis=1), limit)


def _index(counts: Floats, reference: Counts) -> float | None:
    return psi(counts.astype(np.int64), reference) if counts.sum() else None
