"""Metrics of a replica's model: the distribution of its inputs, and its expected accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tidegate.monitoring.counting.bin_counter import BinCounter, Matrix
from tidegate.monitoring.counting.confidence import Expectation
from tidegate.monitoring.counting.psi import critical_value
from tidegate.monitoring.counting.reference import BadReferenceError, Reference, smoothed_ratios

_MODEL = ("model", "version")
_FEATURE = (*_MODEL, "feature")


class ModelMonitor(Collector):
    """Counts each answered batch, and exports the counts and the reference.

    Register it once the model is loaded: every series starts at 0.

    Args:
        model: the model's name.
        version: its version.
        reference: the distributions at training. If it has no rows, features are not counted.
        categories: the categories of each feature, in the order of the matrix's columns; empty for numbers.
        labels: the model's classes, in order.
        significance: the accepted probability of a false finding, over all features together.
        accuracy: the accuracy on held-out rows, if it was measured.

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
        self._expected_correct = 0.0
        self._constant = [*self._constants(reference, labels, significance, accuracy)]

    def observe(self, matrix: Matrix, confidence: npt.NDArray[np.floating[Any]]) -> None:
        """Count an answered batch.

        Args:
            matrix: its rows.
            confidence: the probability of each row's predicted label.
        """
        if self._counter is not None:
            self._counter.add(matrix)
        if self._expectation is not None:
            self._expected_correct += self._expectation.correct(confidence)

    def describe(self) -> Iterator[Metric]:
        """The names, so that the registry can refuse duplicates."""
        yield CounterMetricFamily("ml_feature_observations", "")

    def collect(self) -> Iterator[Metric]:
        """The counts and the reference."""
        observed = CounterMetricFamily(
            "ml_feature_observations",
            "Rows by the bin of a feature's value.",
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
                "Expected number of correct predictions: the sum of calibrated confidence.",
                labels=_MODEL,
            )
            expected.add_metric(self._model, self._expected_correct)
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
            yield from self._feature_constants(reference, significance)
        if reference.predictions:
            yield from self._prediction_constants(reference, labels, significance)
        if accuracy is not None:
            held_out = GaugeMetricFamily(
                "ml_reference_accuracy", "Accuracy on held-out rows.", labels=_MODEL
            )
            held_out.add_metric(self._model, accuracy)
            yield held_out

    def _feature_constants(self, reference: Reference, significance: float) -> Iterator[Metric]:
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
            "X² = PSI·n·m/(n + m) above this is significant at drift.significance.",
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

    def _prediction_constants(
        self, reference: Reference, labels: Sequence[str], significance: float
    ) -> Iterator[Metric]:
        ratios = GaugeMetricFamily(
            "ml_prediction_reference_ratio",
            "Share of a label among the predictions at training, smoothed.",
            labels=(*_MODEL, "label"),
        )
        shares = smoothed_ratios(reference.predictions).tolist()
        for label, ratio in zip(labels, shares, strict=True):
            ratios.add_metric((*self._model, label), ratio)
        samples = GaugeMetricFamily(
            "ml_prediction_reference_samples", "Predictions counted at training.", labels=_MODEL
        )
        samples.add_metric(self._model, sum(reference.predictions))
        critical = GaugeMetricFamily(
            "ml_prediction_critical_value",
            "As ml_feature_critical_value, for the predicted labels.",
            labels=_MODEL,
        )
        critical.add_metric(self._model, critical_value(len(shares), 1, significance))
        yield from (ratios, samples, critical)
