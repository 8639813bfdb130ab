"""Distributions of the features and of the predicted labels in each period, beside those at training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.bar import Bar
from tidegate.monitoring.counting.drift_test import DriftTest, feature_tests
from tidegate.monitoring.counting.reference import Counts, Reference

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Distribution:
    """The rows of one feature, or of the predicted labels, in the bins of its reference."""

    name: str
    """The feature's, or `predictions`."""
    bins: tuple[str, ...]
    """As a person reads them."""
    test: DriftTest
    """It has the rows in each bin at training."""
    counts: Floats
    """Rows in each bin since; [periods, bins]."""

    @property
    def reference(self) -> Counts:
        """Rows in each bin at training."""
        return np.array(self.test.reference, np.int64)

    @property
    def bars(self) -> list[Bar]:
        """The fractions of the rows in each bin, over all periods."""
        then = self.reference / max(1, self.reference.sum())
        now = self.total / max(1.0, self.total.sum())
        return [Bar(*of) for of in zip(self.bins, then.tolist(), now.tolist(), strict=True)]

    @property
    def total(self) -> Floats:
        """Rows in each bin, over all periods."""
        sums: Floats = self.counts.sum(axis=0)
        return sums

    @property
    def psi(self) -> float | None:
        """The PSI over all periods; None without rows."""
        return self._psi(self.total)

    def psi_by_period(self) -> list[float | None]:
        """The PSI of each period; None for a period without rows."""
        return [self._psi(counts) for counts in self.counts]

    def drifted(self, threshold: float, samples: int) -> bool:
        """Whether the PSI over all periods is above the threshold, on enough rows, and significant."""
        return self.test.drifted(self.total, threshold, max(1, samples))

    def _psi(self, counts: Floats) -> float | None:
        return self.test.index(counts) if counts.sum() else None


def feature_distributions(
    reference: Reference,
    observed: Mapping[tuple[str, ...], Floats],
    periods: int,
    significance: float,
) -> list[Distribution]:
    """The distribution of each feature, from the rows of each period by (feature, bin).

    `significance` is the accepted probability of a false finding, over all features together.
    """
    return [
        _distribution(
            feature.name,
            dict(zip(feature.labels, feature.ranges, strict=True)),
            test,
            {label: observed[of, label] for of, label in observed if of == feature.name},
            periods,
        )
        for feature, test in zip(
            reference.features, feature_tests(reference, significance), strict=True
        )
    ]


def prediction_distribution(
    reference: Reference,
    labels: Sequence[str],
    observed: Mapping[tuple[str, ...], Floats],
    periods: int,
    significance: float,
) -> Distribution | None:
    """The distribution of the predicted labels, or values by bin; None if the reference has none.

    `observed` has the rows of each period by (label,). The names of the bins are those of the reference, or
    else `labels`, the classes in their order.
    """
    counts = reference.predictions
    if reference.prediction is not None:
        labels, counts = reference.prediction.labels, reference.prediction.counts
    if not counts:
        return None
    test = DriftTest(counts, 1, significance)
    by_label = {label: rows for (label,), rows in observed.items()}
    return _distribution("predictions", {one: one for one in labels}, test, by_label, periods)


def _distribution(
    name: str,
    bins: Mapping[str, str],
    test: DriftTest,
    observed: Mapping[str, Floats],
    periods: int,
) -> Distribution:
    columns = [observed.get(label, np.zeros(periods)) for label in bins]
    return Distribution(name, tuple(bins.values()), test, np.stack(columns, axis=1))
