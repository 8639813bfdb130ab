"""Metrics of a model: its reference, the distribution of its inputs, its expected accuracy or error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tidegate.monitoring.counting.bin_counter import BinCounter, Matrix
from tidegate.monitoring.counting.drift_test import DriftTest, feature_tests, smoothed_ratios
from tidegate.monitoring.counting.reference import BadReferenceError, Reference, Residuals

MODEL: Final = ("model", "version")
FEATURE: Final = (*MODEL, "feature")


def feature_constants(
    model: tuple[str, str], reference: Reference, significance: float
) -> Iterator[Metric]:
    """Of each feature of a model and its version."""
    ratios = GaugeMetricFamily(
        "ml_feature_reference_ratio",
        "Share of a bin at training, (count + ½) / (m + B/2).",
        labels=(*FEATURE, "bin", "range"),
    )
    samples = GaugeMetricFamily(
        "ml_feature_reference_samples", "m, the rows counted at training.", labels=FEATURE
    )
    critical = GaugeMetricFamily(
        "ml_feature_critical_value",
        "X² = PSI·n·m/(n + m) above this is significant at drift.significance, over all "
        "features together.",
        labels=FEATURE,
    )
    tests = feature_tests(reference, significance)
    for feature, test in zip(reference.features, tests, strict=True):
        of = (*model, feature.name)
        shares = smoothed_ratios(feature.counts)
        for *names, ratio in zip(feature.labels, feature.ranges, shares, strict=True):
            ratios.add_metric((*of, *names), ratio)
        samples.add_metric(of, sum(feature.counts))
        critical.add_metric(of, test.critical_value)
    yield from (ratios, samples, critical)


def prediction_constants(
    model: tuple[str, str], labels: Sequence[str], counts: Sequence[int], significance: float
) -> Iterator[Metric]:
    """Of the labels, or of the bins of the values, that a model predicts."""
    ratios = GaugeMetricFamily(
        "ml_prediction_reference_ratio",
        "Share of a label among the predictions for held-out rows, smoothed likewise.",
        labels=(*MODEL, "label"),
    )
    for label, ratio in zip(labels, smoothed_ratios(counts), strict=True):
        ratios.add_metric((*model, label), ratio)
    samples = GaugeMetricFamily(
        "ml_prediction_reference_samples", "Number of those predictions.", labels=MODEL
    )
    samples.add_metric(model, sum(counts))
    critical = GaugeMetricFamily(
        "ml_prediction_critical_value",
        "As ml_feature_critical_value, for the predicted labels.",
        labels=MODEL,
    )
    critical.add_metric(model, DriftTest(tuple(counts), 1, significance).critical_value)
    yield from (ratios, samples, critical)


class ModelMonitor(Collector):
    """Counts each answered batch, and exports the counts and the reference.

    Register it once the model is loaded: every series starts at 0. Without rows in the reference features are
    not counted.

    Args:
        model: the model's name.
        version: its version.
        reference: the distributions at training.
        categories: as for `BinCounter`.
        labels: the classes of a classifier, in order, whose names are not in the reference.
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
        labels: Sequence[str] = (),
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
        self._expectation, self._of_values = reference.expectation, reference.residuals is not None
        self._expected = 0.0
        self._constant = [*self._constants(reference, labels, significance, accuracy)]

    def observe(self, matrix: Matrix, scores: npt.NDArray[np.floating[Any]]) -> None:
        """Count the rows of an answered batch, by the confidence or the predicted value of each."""
        if self._counter is not None:
            self._counter.add(matrix)
        if self._expectation is not None:
            self._expected += self._expectation.sum(scores)

    def describe(self) -> Iterator[Metric]:
        """The names, so that the registry can refuse duplicates."""
        yield CounterMetricFamily("ml_feature_observations", "")

    def collect(self) -> Iterator[Metric]:
        """The counts and the reference."""
        observed = CounterMetricFamily(
            "ml_feature_observations",
            "Predicted rows by the bin of a feature's value; bins are not cumulative and start "
            "at 0.",
            labels=(*FEATURE, "bin"),
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
                labels=MODEL,
            )
            if self._of_values:
                expected = CounterMetricFamily(
                    "ml_expected_absolute_error",
                    "Expected sum of absolute errors, by the predicted values.",
                    labels=MODEL,
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
            yield from feature_constants(self._model, reference, significance)
        if counts := reference.predictions:
            yield from prediction_constants(self._model, labels, counts, significance)
        if (bins := reference.prediction) is not None:
            yield from prediction_constants(self._model, bins.labels, bins.counts, significance)
        if accuracy is not None:
            yield self._gauge("ml_reference_accuracy", "Accuracy on held-out rows.", accuracy)
        if reference.residuals is not None:
            yield from self._residual_constants(reference.residuals)

    def _residual_constants(self, residuals: Residuals) -> Iterator[Metric]:
        yield self._gauge(
            "ml_reference_absolute_error",
            "Mean absolute error of a regressor on held-out rows.",
            residuals.mean_absolute_error,
        )
        yield self._gauge(
            "ml_reference_absolute_error_deviation",
            "Standard deviation of the absolute error on held-out rows.",
            residuals.deviation,
        )
        yield self._gauge(
            "ml_reference_coverage",
            "Fraction of held-out rows whose true value is inside the interval.",
            residuals.held_out_coverage,
        )

    def _gauge(self, name: str, text: str, value: float) -> GaugeMetricFamily:
        gauge = GaugeMetricFamily(name, text, labels=MODEL)
        gauge.add_metric(self._model, value)
        return gauge
