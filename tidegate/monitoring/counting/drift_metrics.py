"""Metrics of the reference: what the rules of drift compare the counts of rows with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from tidegate.monitoring.counting.drift_test import DriftTest, feature_tests, smoothed_ratios
from tidegate.monitoring.counting.reference import Reference

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
