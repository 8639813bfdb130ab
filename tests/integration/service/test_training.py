"""Training: its duration, its artefact, and when it is skipped."""

from __future__ import annotations

import io
from pathlib import Path

import joblib
import numpy as np
import orjson
import pytest

from tidegate.monitoring.counting.bin_counter import BinCounter
from tidegate.monitoring.counting.drift_test import feature_tests, psi
from tidegate.monitoring.counting.reference import Reference
from tidegate.service.model import artefact
from tidegate.service.model.features import Schema
from tidegate.service.model.loaded_model import open_predictor
from tidegate.service.training.flights import read_flights
from tidegate.service.training.forest import split
from tidegate.service.training.train import train_flights
from tidegate.settings import load
from tidegate.terminal_console import Console

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new artefact."""
    out = tmp_path_factory.mktemp("training") / "flights"
    train_flights(out, force=True, console=Console(file=io.StringIO()))
    return out


def test_the_artefact_is_complete_and_has_its_scores(trained: Path) -> None:
    found = artefact.load(trained).manifest
    files = {artefact.MODEL, artefact.ONNX, artefact.REFERENCE, artefact.SAMPLES}
    assert set(found.files) == files
    assert found.metrics["held_out"]["auc"] > 0.65
    assert set(found.metrics["months"]) == {str(month) for month in range(3, 13)}
    for scores in found.metrics["months"].values():
        assert 0.6 < scores["auc"] < 0.75
        assert 0.65 < scores["accuracy"] < 0.9
        assert 0.1 < scores["brier"] < 0.25
    assert found.parity["labels_equal"] == 1
    assert found.parity["largest_difference"] < 1e-5
    assert found.trained["window"] == ["2013-01-01", "2013-02-28"]
    assert "scikit-learn" in found.versions


def test_the_artefact_predicts_as_scikit_learn_does_on_later_months(
    trained: Path,
) -> None:
    found = artefact.load(trained)
    flights = read_flights()
    rows = np.flatnonzero(split(flights).later)[::200]
    model = joblib.load(trained / artefact.MODEL)
    prediction = open_predictor(found)[0].predict(flights.matrix[rows])
    expected = model.predict_proba(flights.matrix[rows])
    np.testing.assert_allclose(prediction.probabilities, expected, rtol=0, atol=1e-5)
    labels = [found.manifest.classes[i] for i in prediction.labels]
    assert labels == model.predict(flights.matrix[rows]).tolist()


def test_the_samples_are_500_valid_instances_which_have_not_drifted(
    trained: Path,
) -> None:
    found = artefact.load(trained)
    lines = (trained / artefact.SAMPLES).read_bytes().splitlines()
    features = found.manifest.features
    matrix = Schema(features).encode([orjson.loads(line) for line in lines])
    assert matrix.shape == (500, 15)
    reference = Reference.model_validate_json((trained / artefact.REFERENCE).read_bytes())
    counter = BinCounter(reference.features, [each.categories for each in features])
    counter.add(matrix)
    largest = max(
        test.index(counts)
        for test, counts in zip(feature_tests(reference, 0.05), counter.counts(), strict=True)
    )
    labels = open_predictor(found)[0].predict(matrix).labels
    assert reference.predictions is not None
    largest = max(largest, psi(np.bincount(labels), reference.predictions))
    # A load test repeats them, so that chance explains nothing: only the PSI keeps an alert away.
    assert largest < load().drift.psi_warning


def test_the_reference_counts_each_row_of_the_window_for_each_feature(
    trained: Path,
) -> None:
    reference = Reference.model_validate_json((trained / artefact.REFERENCE).read_bytes())
    assert reference.samples == 50_009
    for feature in reference.features:
        assert sum(feature.counts) == reference.samples
    assert reference.calibration is not None
    assert list(reference.calibration.confidence) == sorted(reference.calibration.confidence)
    assert all(0 <= share <= 1 for share in reference.calibration.correct)


def test_training_is_skipped_unless_something_has_changed(
    trained: Path,
) -> None:
    out = trained
    before = artefact.read_manifest(out)
    printed = io.StringIO()
    train_flights(out, console=Console(file=printed, width=200))
    assert "is current" in printed.getvalue()
    assert artefact.read_manifest(out) == before
    (out / artefact.SAMPLES).write_bytes(b"{}\n")
    train_flights(out, console=Console(file=io.StringIO()))
    again = artefact.load(out).manifest
    assert again.version == before.version  # the same data and code give the same model
