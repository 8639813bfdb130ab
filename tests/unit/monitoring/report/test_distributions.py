"""Distributions are compared with those at training, and samples of alerts become episodes."""

from __future__ import annotations

import numpy as np
import pytest

from support.samples.drift_report import CLASSIFIER
from tidegate.monitoring.counting.distributions import (
    feature_distributions,
    prediction_distribution,
)
from tidegate.monitoring.counting.drift_test import psi
from tidegate.monitoring.report.alerts import FiredAlert, fired_alerts
from tidegate.monitoring.report.counter_increases import Floats, Series

OBSERVED: dict[tuple[str, ...], Floats] = {
    ("x", "0"): np.array([900.0, 10.0]),
    ("x", "1"): np.array([900.0, 1500.0]),
    ("carrier", "AA"): np.array([1260.0, 0.0]),
    ("carrier", "UA"): np.array([540.0, 0.0]),
}


def test_the_psi_of_a_feature_is_computed_from_its_counts() -> None:
    x, carrier = feature_distributions(CLASSIFIER.reference, OBSERVED, 2, 0.01)
    assert x.bins == ("under", "0 to 1", "1 to 2", "over", "missing")
    stable, drifted = x.psi_by_period()
    assert stable == pytest.approx(psi([0, 900, 900, 0, 0], [0, 500, 500, 0, 0]))
    assert drifted == pytest.approx(psi([0, 10, 1500, 0, 0], [0, 500, 500, 0, 0]))
    assert x.total.tolist() == [0, 910, 2400, 0, 0]
    assert carrier.psi_by_period()[1] is None


def test_drift_needs_a_psi_above_the_threshold_enough_rows_and_significance() -> None:
    x, carrier = feature_distributions(CLASSIFIER.reference, OBSERVED, 2, 0.01)
    assert x.drifted(0.1, 1000)
    assert not x.drifted(0.1, 10_000)
    assert not x.drifted(5.0, 1000)
    assert not carrier.drifted(0.1, 1000)
    few: dict[tuple[str, ...], Floats] = {("x", "0"): np.array([1.0]), ("x", "1"): np.array([7.0])}
    chance, nothing = feature_distributions(CLASSIFIER.reference, few, 1, 0.01)
    assert chance.psi is not None
    assert chance.psi > 0.1
    assert not chance.drifted(0.1, 1)
    assert nothing.psi is None
    assert not nothing.drifted(0.1, 1)


def test_predicted_labels_are_a_distribution() -> None:
    found = prediction_distribution(
        CLASSIFIER.reference, CLASSIFIER.labels, {("late",): np.array([5.0])}, 1, 0.01
    )
    assert found is not None
    assert found.counts.tolist() == [[5, 0]]
    without = CLASSIFIER.reference.model_copy(update={"predictions": ()})
    assert prediction_distribution(without, CLASSIFIER.labels, {}, 1, 0.01) is None


def test_a_gap_of_a_minute_separates_two_episodes_of_an_alert() -> None:
    def series(times: list[float], **labels: str) -> Series:
        return Series(labels, np.array(times), np.ones(len(times)))

    named = {"alertname": "DriftFeatureWarning", "severity": "warning"}
    found = fired_alerts(
        [
            series([100, 105, 110, 300, 305], feature="x", **named),
            series([50], alertname="ModelConceptDrift", severity="critical"),
            series([]),
        ]
    )
    assert found == [
        FiredAlert("ModelConceptDrift", "", "critical", 50, 50),
        FiredAlert("DriftFeatureWarning", "x", "warning", 100, 110),
        FiredAlert("DriftFeatureWarning", "x", "warning", 300, 305),
    ]
