"""What a replica tells of its model: the distribution of what it took, and how sure it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tidegate.drift.counting.bin_counter import BinCounter, Matrix
from tidegate.drift.counting.confidence import Expectation
from tidegate.drift.counting.psi import critical_value
from tidegate.drift.counting.reference import BadReferenceError, Reference, smoothed_ratios

_MODEL = ("model", "version")
_FEATURE = (*_MODEL, "feature")


class ModelMonitor(Collector):
    """Counts each answered batch, and shows the counts with the reference beside them.

    Register it once the model is loaded: every series is there from 0 on.

    Args:
        model: the model's name.
        version: its version.
        reference: how things were at its training. Without rows in it there is nothing to compare with,
            and only what was answered is counted.
        categories: the categories of each feature, in the matrix's order; empty for numbers.
        labels: the labels it gives, in the order of its classes.
        significance: the chance of one false finding that is accepted, over all features together.
        accuracy: the share of right labels on held-out rows, if it was measured.

    Raises:
        BadReferenceError: the reference is of other features.
    """

    def __init__(
        self,
        model: str,
        version: str,
        reference: Reference,
        *,
        categories: Sequence[Sequence[str]],
        labels: Sequence[str],
        significance: float,
        accuracy: float | None = None,
    ) -> None:
        if len(reference.features) != len(categories):
            raise BadReferenceError(
                f"the reference has {len(reference.features)} features, the model {len(categories)}"
            )
        self._model = (model, version)
        self._names = [feature.name for feature in reference.features] if reference.samples else []
        self._labels = [feature.labels for feature in reference.features]
        self._counter = BinCounter(reference.features, categories) if self._names else None
        curve = reference.calibration
        self._expectation = None if curve is None else Expectation(curve)
        self._expected = 0.0
        self._constant = [*self._constants(reference, labels, significance, accuracy)]

    def observe(self, matrix: Matrix, confidence: npt.NDArray[np.floating[Any]]) -> None:
        """Count a batch that was answered.

        Args:
            matrix: its rows.
            confidence: the probability of each row's label.
        """
        if self._counter is not None:
            self._counter.add(matrix)
        if self._expectation is not None:
            self._expected += self._expectation.correct(confidence)

    def describe(self) -> Iterator[Metric]:
        """The names, so that the registry can tell a second one of them."""
        yield CounterMetricFamily("ml_feature_observations", "")

    def collect(self) -> Iterator[Metric]:
        """Counts, and what to compare them with."""
        observed = CounterMetricFamily(
            "ml_feature_observations",
            "Rows by the bin that a feature's value fell into.",
            labels=(*_FEATURE, "bin"),
        )
        if self._counter is not None:
            for name, bins, counts in zip(
                self._names, self._labels, self._counter.counts(), strict=True
            ):
                for label, count in zip(bins, counts.tolist(), strict=True):
                    observed.add_metric((*self._model, name, label), count)
        yield observed
        if self._expectation is not None:
            expected = CounterMetricFamily(
                "ml_expected_correct",
                "Labels expected to be right: the sum of their calibrated probabilities.",
                labels=_MODEL,
            )
            expected.add_metric(self._model, self._expected)
            yield expected
        yield from self._constant

    def _constants(
        self,
        reference: Reference,
        labels: Sequence[str],
        significance: float,
        accuracy: float | None,
    ) -> Iterator[Metric]:
        if self._names:
            yield from self._of_features(reference, significance)
        if reference.predictions:
            yield from self._of_predictions(reference, labels, significance)
        if accuracy is not None:
            right = GaugeMetricFamily(
                "ml_reference_accuracy", "Share of right labels on held-out rows.", labels=_MODEL
            )
            right.add_metric(self._model, accuracy)
            yield right

    def _of_features(self, reference: Reference, significance: float) -> Iterator[Metric]:
        ratios = GaugeMetricFamily(
            "ml_feature_reference_ratio",
            "Share of a bin at training, smoothed.",
            labels=(*_FEATURE, "bin"),
        )
        samples = GaugeMetricFamily(
            "ml_feature_reference_samples", "Rows counted at training.", labels=_FEATURE
        )
        critical = GaugeMetricFamily(
            "ml_feature_critical_value",
            "What X² = PSI·n·m/(n + m) exceeds by chance as seldom as drift.significance says.",
            labels=_FEATURE,
        )
        for feature, bins in zip(reference.features, self._labels, strict=True):
            of = (*self._model, feature.name)
            for label, ratio in zip(bins, smoothed_ratios(feature.counts).tolist(), strict=True):
                ratios.add_metric((*of, label), ratio)
            samples.add_metric(of, sum(feature.counts))
            limit = critical_value(len(bins), len(self._names), significance)
            critical.add_metric(of, limit)
        yield from (ratios, samples, critical)

    def _of_predictions(
        self, reference: Reference, labels: Sequence[str], significance: float
    ) -> Iterator[Metric]:
        ratios = GaugeMetricFamily(
            "ml_prediction_reference_ratio",
            "Share of a label among the answers at training, smoothed.",
            labels=(*_MODEL, "label"),
        )
        shares = smoothed_ratios(reference.predictions).tolist()
        for label, ratio in zip(labels, shares, strict=True):
            ratios.add_metric((*self._model, label), ratio)
        samples = GaugeMetricFamily(
            "ml_prediction_reference_samples", "Answers counted at training.", labels=_MODEL
        )
        samples.add_metric(self._model, sum(reference.predictions))
        critical = GaugeMetricFamily(
            "ml_prediction_critical_value",
            "As ml_feature_critical_value, for the labels given.",
            labels=_MODEL,
        )
        critical.add_metric(self._model, critical_value(len(shares), 1, significance))
        yield from (ratios, samples, critical)
