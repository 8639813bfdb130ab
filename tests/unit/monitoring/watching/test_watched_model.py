"""A model in an application of one's own is counted as a model of the service is."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from tidegate.monitoring.counting.number_bins import number_bins, predicted_value_bins
from tidegate.monitoring.counting.reference import Calibration, FeatureReference, Reference
from tidegate.monitoring.counting.residuals import calibrate_residuals
from tidegate.monitoring.feedback.outcomes import OutcomeRefusedError
from tidegate.monitoring.tasks.classification import MAX_NAMES
from tidegate.monitoring.watching.merged_collector import MergedCollector
from tidegate.monitoring.watching.watched_model import MAX_ROWS, Host, WatchedModel
from tidegate.settings import Drift

KEY = b"a secret signing key"
COUNTRY = FeatureReference(
    name="country", kind="category", bins=("DE", "FR", "other", "missing"), counts=(60, 40, 0, 0)
)
AMOUNT = number_bins("amount", np.arange(100.0))
LABELS = FeatureReference(
    name="prediction",
    kind="category",
    bins=("fraud", "ok", "other", "missing"),
    counts=(10, 90, 0, 0),
)
CLASSIFIER = Reference(samples=100, features=(AMOUNT, COUNTRY), prediction=LABELS, accuracy=0.9)
CALIBRATED = CLASSIFIER.model_copy(
    update={"calibration": Calibration(confidence=(0.5, 1.0), correct=(0.4, 0.9), samples=100)}
)
PREDICTED = np.arange(100.0)
REGRESSOR = Reference(
    samples=100,
    features=(AMOUNT, COUNTRY),
    prediction=predicted_value_bins(PREDICTED),
    residuals=calibrate_residuals(PREDICTED, PREDICTED + np.tile([1.0, -3.0], 50)),
)


@dataclass
class Application:
    """The application around a model."""

    reference: Reference | None = None
    name: str = "m"
    version: str = "1"
    drift: Drift = field(default_factory=Drift)
    request: tuple[str, str] | None = ("a" * 32, "b" * 16)
    event: dict[str, Any] = field(default_factory=dict)
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = WatchedModel(
            self.name,
            self.version,
            reference=self.reference,
            key=KEY,
            drift=self.drift,
            host=Host(
                request_ids=lambda: self.request,
                annotate=self.event.update,
                write_outcome=self.outcomes.__setitem__,
                warn=self.warnings.append,
            ),
        )

    def value(self, name: str, **labels: str) -> float | None:
        of = {"model": self.name, "version": self.version}
        return self.watch.registry.get_sample_value(name, of | labels)

    def predictions(self) -> dict[str, float]:
        """The counts of predictions that are not 0, by label."""
        return {
            sample.labels["label"]: sample.value
            for family in self.watch.registry.collect()
            for sample in family.samples
            if sample.name == "tidegate_predictions_total" and sample.value
        }


ROWS = [{"amount": 5.0, "country": "DE"}, {"amount": 500, "country": "PL"}]


def test_rows_and_labels_are_counted() -> None:
    app = Application(CLASSIFIER)
    assert app.value("tidegate_predictions_total", label="fraud") == 0
    assert app.value("ml_outcomes_total", correct="true") == 0
    assert app.value("ml_reference_accuracy") == 0.9
    assert app.value("ml_prediction_reference_ratio", label="ok") == pytest.approx(90.5 / 102)
    ids = app.watch.observe(ROWS, ["ok", "strange"])
    assert len(set(ids)) == 2
    assert app.predictions() == {"ok": 1, "other": 1}
    observed = "ml_feature_observations_total"
    assert app.value(observed, feature="amount", bin="over") == 1
    assert app.value(observed, feature="country", bin="other") == 1
    assert app.event == {
        "model": {"name": "m", "version": "1"},
        "rows": 2,
        "prediction": {"label": "ok"},
    }


def test_the_outcome_of_a_label() -> None:
    app = Application(CLASSIFIER)
    ok, fraud = app.watch.observe(ROWS, ["ok", "fraud"])
    right, wrong = app.watch.outcome(ok, "ok"), app.watch.outcome(fraud, "ok")
    assert (right.values["correct"], wrong.values["correct"]) == (True, False)
    assert app.value("ml_outcomes_total", correct="true") == 1
    assert app.value("ml_outcome_labels_total", predicted="fraud", actual="ok") == 1
    assert app.value("ml_outcome_squared_error_total") is None  # there were no confidences
    event = app.outcomes[wrong.prediction.outcome_id]
    assert event["trace"] == {"id": "a" * 32}
    assert event["tidegate"]["outcome"] == {
        "predicted": "fraud",
        "actual": "ok",
        "correct": False,
        "accuracy": 0.9,
        "lag_seconds": pytest.approx(0, abs=60),
        "row": 1,
    }
    with pytest.raises(OutcomeRefusedError, match="already been counted"):
        app.watch.outcome(ok, "fraud")
    with pytest.raises(OutcomeRefusedError, match="a string, a number or a boolean"):
        app.watch.outcome(fraud, None)


def test_confidences_count_the_expected_accuracy_and_the_brier_score() -> None:
    app = Application(CALIBRATED)
    assert app.value("ml_outcome_squared_error_total") == 0
    (one, _) = app.watch.observe(ROWS, ["ok", "ok"], [0.75, 1.0])
    assert app.value("ml_expected_correct_total") == pytest.approx(0.65 + 0.9)
    assert app.event["prediction"] == {"label": "ok", "probability": 0.875}
    app.watch.outcome(one, "fraud")
    assert app.value("ml_outcome_squared_error_total") == 0.75**2


def test_rows_and_values_are_counted() -> None:
    app = Application(REGRESSOR)
    assert app.value("ml_residuals_total", inside="true") == 0
    assert REGRESSOR.residuals is not None
    assert app.value("ml_reference_absolute_error") == 2.0
    ids = app.watch.observe(ROWS, np.array([[50.0], [1000.0]]))
    assert app.predictions() == {"49 to 59": 1, "over": 1}
    assert app.event["prediction"]["value"] == 525.0
    assert app.value("ml_expected_absolute_error_total") == pytest.approx(4, abs=1)
    outcome = app.watch.outcome(ids[0], 52)
    assert (outcome.values["residual"], outcome.values["inside"]) == (2.0, True)
    assert app.value("ml_residuals_total", inside="true") == 1
    assert app.value("ml_absolute_error_total") == 2


def test_values_whose_sum_overflows_are_counted_without_a_mean() -> None:
    app = Application(REGRESSOR)
    assert len(app.watch.observe(ROWS, [1.7e308, 1.7e308])) == 2
    assert app.event["prediction"] == {"label": "over"}


@pytest.mark.parametrize(
    ("predictions", "label", "counted"),
    [
        (["ok", "fraud"], "ok", {"ok": 1, "fraud": 1}),
        ([0, 1], 0, {"0": 1, "1": 1}),
        ([True, False], True, {"True": 1, "False": 1}),
        (np.array([1, 1]), 1.0, {"1": 2}),
        (pd.Series(["ok", None]), "ok", {"ok": 1, "missing": 1}),
        (["missing", "other"], "missing", {"=missing": 1, "=other": 1}),
        ([1.5, 2.5], 2.0, {"any": 2}),
        (np.array([1.5, np.nan]), 2.0, {"any": 1, "missing": 1}),
    ],
)
def test_without_a_reference_predictions_and_labels_are_counted(
    predictions: Any, label: Any, counted: dict[str, float]
) -> None:
    app = Application()
    assert app.watch.observe(ROWS, []) == []
    ids = app.watch.observe(None, predictions)
    assert app.predictions() == counted
    app.watch.outcome(ids[0], label)
    restarted = Application()  # and the label comes first
    restarted.watch.outcome(ids[0], label)
    assert len(restarted.outcomes) == 1
    restarted.watch.observe(None, predictions)
    assert restarted.predictions() == counted


def test_an_invalid_id_says_nothing_about_the_task() -> None:
    app = Application()
    for text in ("nonsense", None, 7):
        with pytest.raises(OutcomeRefusedError, match="prediction_id"):
            app.watch.outcome(text, "ok")  # type: ignore[arg-type]
    app.watch.observe(None, [1.5])
    assert app.predictions() == {"any": 1}


def test_the_id_of_another_model_says_nothing_about_the_task() -> None:
    """Any client of a feedback endpoint has ids of other models of the installation."""
    app, other = Application(), Application(name="other")
    for predictions in (["ok"], [1.5]):
        (foreign,) = other.watch.observe(None, predictions)
        with pytest.raises(OutcomeRefusedError, match="another name or other labels") as refused:
            app.watch.outcome(foreign, "ok")
        assert refused.value.reason == "foreign_version"
        other = Application(name="other")
    app.watch.observe(None, [1.5])
    assert app.predictions() == {"any": 1}


def test_labels_beyond_the_first_are_counted_together() -> None:
    app = Application()
    ids = app.watch.observe(None, [f"label-{number}" for number in range(MAX_NAMES + 10)])
    assert app.predictions()["other"] == 10
    for text in ids:
        app.watch.outcome(text, "label-0")
    families = list(app.watch.registry.collect())
    assert sum(len(family.samples) for family in families) < 1000


@pytest.mark.parametrize(
    ("reference", "rows", "predictions", "confidences", "message"),
    [
        (CLASSIFIER, ROWS, ["ok"], None, "there are 2 rows and 1 predictions"),
        (CLASSIFIER, ROWS, ["ok", "ok"], [0.5], "there are 2 predictions and 1 confidences"),
        (CLASSIFIER, ROWS, ["ok", "ok"], [0.5, 1.5], "between 0 and 1"),
        (CLASSIFIER, ROWS, ["ok", "ok"], [0.5, None], "between 0 and 1"),
        (CLASSIFIER, ROWS, ["ok", "ok"], np.ones((2, 2)), r"confidences .* shape \(2, 2\)"),
        (CALIBRATED, ROWS, ["ok", "ok"], None, "confidences are needed"),
        (REGRESSOR, ROWS, [1.0, 2.0], [0.5, 0.5], "numbers, which have no confidences"),
        (REGRESSOR, ROWS, np.ones((2, 2)), None, r"predictions .* shape \(2, 2\)"),
        (REGRESSOR, ROWS, 1.0, None, "predictions should be a list .* got float"),
        (CLASSIFIER, ROWS, "ok", None, "predictions should be a list .* got str"),
        (None, ROWS, "ok", None, "predictions should be a list .* got str"),
        (None, None, [1.0] * (MAX_ROWS + 1), None, f"observe at most {MAX_ROWS}"),
    ],
)
def test_a_call_that_does_not_fit_counts_nothing(
    reference: Reference | None, rows: Any, predictions: Any, confidences: Any, message: str
) -> None:
    app = Application(reference)
    with pytest.raises(ValueError, match=message):
        app.watch.observe(rows, predictions, confidences)
    assert app.predictions() == {}
    assert app.event == {}


@pytest.mark.parametrize(
    ("name", "version"), [("", "1"), ("a b", "1"), ("m", ""), ("m", "v" * 101)]
)
def test_names_are_those_of_metrics_and_ids(name: str, version: str) -> None:
    with pytest.raises(ValueError, match=r"should have 1 to 100 letters"):
        Application(name=name, version=version)


def test_segments_are_in_the_event() -> None:
    app = Application(CLASSIFIER, drift=Drift(segments=("country", "amount", "colour")))
    app.watch.observe(ROWS, ["ok", "ok"])
    assert app.event["segments"] == {"country": ["DE", "PL"]}


def test_outside_a_request_ids_are_unique() -> None:
    app = Application(CLASSIFIER, request=None)
    assert (
        len({*app.watch.observe(ROWS, ["ok", "ok"]), *app.watch.observe(ROWS, ["ok", "ok"])}) == 4
    )


def test_threads_lose_no_row_and_no_label() -> None:
    app = Application(CLASSIFIER, drift=Drift(label_memory=10))
    ids: list[str] = []
    refused: list[str] = []

    def work() -> None:
        for _ in range(50):
            ids.extend(app.watch.observe(ROWS, ["ok", "fraud"]))

    def label(text: str) -> None:
        try:
            app.watch.outcome(text, "ok")
        except OutcomeRefusedError as refusal:
            refused.append(refusal.reason)

    def run(threads: list[threading.Thread]) -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    run([threading.Thread(target=work) for _ in range(8)])
    assert app.predictions() == {"ok": 400, "fraud": 400}
    assert app.value("ml_feature_observations_total", feature="country", bin="DE") == 400
    run([threading.Thread(target=label, args=(ids[0],)) for _ in range(8)])
    assert refused == ["replayed"] * 7


def test_models_of_one_application_share_their_metrics() -> None:
    first, second = Application(CLASSIFIER), Application(REGRESSOR, name="n")
    merged, registry = MergedCollector(), CollectorRegistry()
    registry.register(merged)
    for app in (first, second):
        merged.add(app.watch.registry)
    first.watch.observe(ROWS, ["ok", "ok"])
    text = generate_latest(registry).decode()
    assert generate_latest(registry).decode() == text  # a scrape adds nothing
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    assert text.count("# TYPE tidegate_predictions_total counter") == 1
    assert 'tidegate_predictions_total{label="ok",model="m",version="1"} 2.0' in text
    assert 'model="n"' in text


labels = st.text() | st.integers() | st.booleans() | st.none() | st.floats()


@given(st.lists(labels, max_size=20))
def test_any_predictions_are_counted_once_each_and_have_an_id(predictions: list[Any]) -> None:
    for reference in (CLASSIFIER, REGRESSOR, None):
        app = Application(reference)
        ids = app.watch.observe(None, predictions)
        assert len(ids) == len(set(ids)) == len(predictions)
        assert sum(app.predictions().values()) == len(predictions)


@given(st.text() | st.integers() | st.booleans())
def test_a_label_is_correct_if_it_is_the_predicted_one(label: Any) -> None:
    app = Application()
    (text,) = app.watch.observe(None, [label])
    outcome = app.watch.outcome(text, label)
    assert outcome.values["correct"]
