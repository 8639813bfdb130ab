"""A replica exports its counters, starting at 0, and the reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from tidegate.monitoring.counting.drift_test import critical_value
from tidegate.monitoring.counting.model_metrics import ModelMonitor
from tidegate.monitoring.counting.number_bins import predicted_value_bins
from tidegate.monitoring.counting.reference import (
    BadReferenceError,
    Calibration,
    FeatureReference,
    Reference,
    Residuals,
    load_reference,
)

REFERENCE = Reference(
    samples=10,
    features=(
        FeatureReference(
            name="x",
            kind="number",
            edges=(0.0, 1.0),
            bins=("under", "0", "over", "missing"),
            counts=(0, 10, 0, 0),
        ),
    ),
    calibration=Calibration(confidence=(0.5, 1.0), correct=(0.5, 1.0), samples=10),
    predictions=(3, 7),
)
OF: dict[str, str] = {"model": "m", "version": "1"}


def make(
    reference: Reference = REFERENCE,
    *,
    accuracy: float | None = None,
    categories: Sequence[Sequence[str]] = ((),),
) -> tuple[ModelMonitor, Any]:
    monitor = ModelMonitor(
        "m",
        "1",
        reference,
        categories=categories,
        labels=["no", "yes"],
        significance=0.01,
        accuracy=accuracy,
    )
    registry = CollectorRegistry()
    registry.register(monitor)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, OF | labels)

    return monitor, value


def test_a_batch_is_counted_from_zero_with_its_confidence() -> None:
    monitor, value = make()

    def counted() -> dict[str, float | None]:
        observed, bins = "ml_feature_observations_total", REFERENCE.features[0].bins
        return {bin_: value(observed, feature="x", bin=bin_) for bin_ in bins}

    assert counted() == {"under": 0, "0": 0, "over": 0, "missing": 0}
    assert value("ml_expected_correct_total") == 0
    monitor.observe(np.array([[0.5], [7.0], [np.nan]], "f4"), np.array([0.5, 0.75, 1.0], "f4"))
    monitor.observe(np.array([[0.5]], "f4"), np.array([0.75], "f4"))
    assert counted() == {"under": 0, "0": 2, "over": 1, "missing": 1}
    assert value("ml_expected_correct_total") == pytest.approx(3.0)


def test_the_reference_is_exported() -> None:
    _, value = make(accuracy=0.8)
    ratio, over = "ml_feature_reference_ratio", {"bin": "over", "range": "over"}
    assert value(ratio, feature="x", bin="0", range="0 to 1") == pytest.approx(10.5 / 12)
    assert value(ratio, feature="x", **over) == pytest.approx(0.5 / 12)
    assert value("ml_feature_reference_samples", feature="x") == 10
    assert value("ml_feature_critical_value", feature="x") == critical_value(4, 1, 0.01)
    assert value("ml_prediction_reference_ratio", label="yes") == pytest.approx(7.5 / 11)
    assert value("ml_prediction_reference_samples") == 10
    assert value("ml_prediction_critical_value") == critical_value(2, 1, 0.01)
    assert value("ml_reference_accuracy") == 0.8


def test_without_training_rows_features_are_not_counted() -> None:
    bare = Reference(samples=0, features=REFERENCE.features)
    monitor, value = make(bare)
    monitor.observe(np.array([[0.5]], "f4"), np.array([0.5], "f4"))
    for name in ("ml_feature_observations_total", "ml_feature_reference_ratio"):
        assert value(name, feature="x", bin="0") is None
    assert value("ml_expected_correct_total") is value("ml_reference_accuracy") is None


def test_a_reference_of_other_features_is_refused() -> None:
    with pytest.raises(BadReferenceError, match="1 features, the model 2"):
        make(categories=[(), ()])


@pytest.mark.parametrize("text", [None, "{}", "nonsense"])
def test_the_error_for_an_invalid_reference_names_the_file(
    tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "reference.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BadReferenceError, match=r"reference\.json cannot be read"):
        load_reference(file)
    file.write_text(REFERENCE.model_dump_json())
    assert load_reference(file) == REFERENCE


RESIDUALS = Residuals(
    mean_absolute_error=2.0,
    root_mean_squared_error=2.5,
    deviation=1.5,
    half_width=4.0,
    coverage=0.9,
    held_out_coverage=0.91,
    predicted=(0.0, 10.0),
    expected=(1.0, 3.0),
    samples=100,
)
REGRESSOR = REFERENCE.model_copy(
    update={
        "calibration": None,
        "predictions": (),
        "prediction": predicted_value_bins(np.array([0.0, 5.0, 10.0])),
        "residuals": RESIDUALS,
    }
)


def test_the_expected_absolute_error_of_a_regressor_is_counted() -> None:
    monitor, value = make(REGRESSOR)
    assert value("ml_expected_absolute_error_total") == 0
    monitor.observe(np.zeros((3, 1), "f4"), np.array([5.0, 20.0, np.nan]))
    monitor.observe(np.zeros((1, 1), "f4"), np.array([2.5]))
    monitor.observe(np.zeros((1, 1), "f4"), np.array([np.nan]))
    assert value("ml_expected_absolute_error_total") == pytest.approx(2.0 + 3.0 + 1.5)
    assert value("ml_expected_correct_total") is None


def test_the_reference_of_a_regressor_is_exported() -> None:
    _, value = make(REGRESSOR)
    assert value("ml_reference_absolute_error") == 2.0
    assert value("ml_reference_absolute_error_deviation") == 1.5
    assert value("ml_reference_coverage") == 0.91
    assert REGRESSOR.prediction is not None
    labels = REGRESSOR.prediction.labels
    shares = [value("ml_prediction_reference_ratio", label=label) for label in labels]
    assert sum(each or 0 for each in shares) == pytest.approx(1)
    assert value("ml_prediction_reference_samples") == 3
    assert value("ml_prediction_critical_value") == critical_value(len(labels), 1, 0.01)
