"""A label is counted once, if its prediction id is valid and not too old."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tidegate.monitoring.feedback.outcomes import REASONS, Label, OutcomeRefusedError
from tidegate.monitoring.feedback.prediction_ids import PredictionIds, model_digest
from tidegate.monitoring.feedback.processor import FeedbackProcessor
from tidegate.monitoring.tasks.classification import LabelTruth
from tidegate.settings import Drift

KEY = b"a secret signing key"
TRACE, SPAN = "0" * 31 + "1", "0" * 15 + "2"
REQUEST = (TRACE, SPAN)
CLASSES = ("late", "on_time")
DIGEST = model_digest(["m", *CLASSES])
IDS = PredictionIds(KEY, "1", DIGEST)
EARLIER_VERSION = PredictionIds(KEY, "0", DIGEST)
AT_US = 1_790_000_000_000_000
OF = {"model": "m", "version": "1"}


class ProcessorFixture:
    """A feedback processor and its counters."""

    def __init__(self, classes: tuple[Label, ...] = CLASSES, memory: int = 10) -> None:
        self.registry = CollectorRegistry()
        truth = LabelTruth("m", classes, accuracy=0.8)
        drift = Drift(label_accept_seconds=100, label_memory=memory)
        self.processor = FeedbackProcessor(
            "m", "1", truth, key=KEY, drift=drift, registry=self.registry
        )

    def scraped(self) -> str:
        return generate_latest(self.registry).decode()

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, OF | labels)

    def refused(self, prediction_id: object, label: object, after: float = 10) -> str:
        with pytest.raises(OutcomeRefusedError) as caught:
            self.processor.accept(prediction_id, label, AT_US + int(after * 1e6))
        reason = caught.value.reason
        assert self.value("ml_feedback_refused_total", reason=reason) == 1
        return reason


def id_of(label: int = 0, confidence: float = 0.75, ids: PredictionIds = IDS) -> str:
    (text,) = ids.make(AT_US, REQUEST, [str(label)], [confidence])
    return text


def of_another(model: str, classes: tuple[Label, ...]) -> PredictionIds:
    """Ids with the same key, for another model or other classes."""
    return PredictionIds(KEY, "0", model_digest([model, *classes]))


def test_every_series_starts_at_zero() -> None:
    feedback = ProcessorFixture()
    assert feedback.value("ml_outcomes_total", correct="true") == 0
    assert feedback.value("ml_outcomes_total", correct="false") == 0
    assert feedback.value("ml_outcome_labels_total", predicted="late", actual="on_time") == 0
    for reason in REASONS:
        assert feedback.value("ml_feedback_refused_total", reason=reason) == 0


def test_correct_and_wrong_predictions_are_counted_with_confidence_and_lag() -> None:
    feedback = ProcessorFixture()
    correct = feedback.processor.accept(id_of(label=0), "late", AT_US + 20_000_000)
    wrong = feedback.processor.accept(id_of(label=1), "late", AT_US + 30_000_000)
    assert (correct.values["correct"], wrong.values["correct"]) == (True, False)
    assert feedback.value("ml_outcomes_total", correct="true") == 1
    assert feedback.value("ml_outcomes_total", correct="false") == 1
    assert feedback.value("ml_outcome_labels_total", predicted="on_time", actual="late") == 1
    assert feedback.value("ml_outcome_squared_error_total") == 0.25**2 + 0.75**2
    assert feedback.value("ml_label_lag_seconds_sum") == 50
    assert correct.fields("m")["trace"] == {"id": TRACE}
    assert correct.fields("m")["span"] == {"id": SPAN}
    assert correct.fields("m")["tidegate"] == {
        "model": {"name": "m", "version": "1"},
        "outcome": {
            "predicted": "late",
            "actual": "late",
            "correct": True,
            "confidence": 0.75,
            "lag_seconds": 20.0,
            "row": 0,
            "accuracy": 0.8,
        },
    }


def test_a_label_that_is_older_than_its_prediction_has_no_lag() -> None:
    feedback = ProcessorFixture()
    assert feedback.processor.accept(id_of(), "late", AT_US - 5_000_000).lag_seconds == 0


@pytest.mark.parametrize(
    ("prediction_id", "label", "after", "reason"),
    [
        ("nonsense", "late", 10, "malformed"),
        (17, "late", 10, "malformed"),
        (id_of(ids=PredictionIds(b"another key", "1", DIGEST)), "late", 10, "forged"),
        (id_of(ids=of_another("n", CLASSES)), "late", 10, "foreign_version"),
        (id_of(ids=of_another("m", ("on_time", "late"))), "late", 10, "foreign_version"),
        (id_of(ids=of_another("m", (*CLASSES, "never"))), "never", 10, "foreign_version"),
        (id_of(ids=EARLIER_VERSION), "late", 101, "expired"),
        (id_of(ids=PredictionIds(b"another key", "0", DIGEST)), "late", 10, "forged"),
        (id_of(), "late", 101, "expired"),
        (id_of(), "early", 10, "unknown_label"),
        (id_of(), None, 10, "unknown_label"),
        (id_of(), ["late"], 10, "unknown_label"),
    ],
)
def test_an_invalid_label_is_refused_with_its_reason(
    prediction_id: object, label: object, after: float, reason: str
) -> None:
    feedback = ProcessorFixture()
    assert feedback.refused(prediction_id, label, after) == reason
    assert feedback.value("ml_outcomes_total", correct="true") == 0


def test_only_the_first_label_of_a_prediction_is_counted() -> None:
    feedback = ProcessorFixture()
    feedback.processor.accept(id_of(), "late", AT_US)
    assert feedback.refused(id_of(), "on_time") == "replayed"
    assert feedback.value("ml_outcomes_total", correct="true") == 1


def test_a_label_of_an_earlier_version_is_counted_under_that_version() -> None:
    feedback = ProcessorFixture()
    accepted = feedback.processor.accept(
        id_of(label=1, ids=EARLIER_VERSION), "late", AT_US + 20_000_000
    )
    fields = accepted.fields("m")["tidegate"]
    assert fields["model"] == {"name": "m", "version": "0"}
    assert "accuracy" not in fields["outcome"]  # not known for an earlier version
    assert feedback.value("ml_outcomes_total", correct="false") == 0
    feedback.scraped()
    before = {"version": "0"}
    assert feedback.value("ml_outcomes_total", **before, correct="false") == 1
    assert feedback.value("ml_outcomes_total", **before, correct="true") == 0
    pair = {"predicted": "on_time", "actual": "late"}
    assert feedback.value("ml_outcome_labels_total", **before, **pair) == 1
    assert feedback.value("ml_outcome_squared_error_total", **before) == 0.75**2
    assert feedback.value("ml_label_lag_seconds_sum", **before) == 20
    assert feedback.refused(id_of(label=1, ids=EARLIER_VERSION), "late") == "replayed"


def test_labels_of_another_version_are_counted_after_the_first_scrape_of_its_series() -> None:
    feedback = ProcessorFixture(memory=1000)
    texts = EARLIER_VERSION.make(AT_US, REQUEST, ["0"] * 500, [0.5] * 500)
    for text in texts[:400]:
        feedback.processor.accept(text, "late", AT_US)

    correct = 'ml_outcomes_total{correct="true",model="m",version="0"}'
    lags = 'ml_label_lag_seconds_count{model="m",version="0"}'
    first = feedback.scraped()
    assert f"{correct} 0.0" in first
    assert f"{lags} 0.0" in first
    for text in texts[400:]:
        feedback.processor.accept(text, "late", AT_US)
    second = feedback.scraped()
    assert f"{correct} 500.0" in second
    assert f"{lags} 500.0" in second


def test_without_scrapes_few_labels_are_buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.monitoring.feedback.outcome_metrics._MAX_BUFFERED", 3)
    feedback = ProcessorFixture()
    for text in EARLIER_VERSION.make(AT_US, REQUEST, ["0"] * 5, [0.5] * 5):
        feedback.processor.accept(text, "late", AT_US)
    assert feedback.value("ml_outcomes_total", version="0", correct="true") == 2
    feedback.scraped()
    assert feedback.value("ml_outcomes_total", version="0", correct="true") == 5


def test_a_refused_label_may_be_corrected() -> None:
    feedback = ProcessorFixture()
    feedback.refused(id_of(), "early")
    assert feedback.processor.accept(id_of(), "late", AT_US).values["correct"]


def test_only_the_last_ids_are_remembered() -> None:
    feedback = ProcessorFixture(memory=2)
    texts = IDS.make(AT_US, REQUEST, ["0"] * 3, [0.5, 0.5, 0.5])
    for text in texts:
        feedback.processor.accept(text, "late", AT_US)
    assert feedback.refused(texts[1], "late") == "replayed"
    assert feedback.processor.accept(texts[0], "late", AT_US).values[
        "correct"
    ]  # no longer remembered here; the store has it once


def test_booleans_are_not_integer_classes() -> None:
    feedback = ProcessorFixture(classes=(0, 1))
    ids = of_another("m", (0, 1))
    assert feedback.refused(id_of(label=1, ids=ids), True) == "unknown_label"
    assert feedback.processor.accept(id_of(label=1, ids=ids), 1, AT_US).values["correct"]


def test_with_many_classes_a_pair_has_no_series_before_its_first_label() -> None:
    classes = tuple(range(30))
    feedback = ProcessorFixture(classes=classes)
    assert feedback.value("ml_outcome_labels_total", predicted="0", actual="1") is None
    feedback.processor.accept(
        id_of(ids=PredictionIds(KEY, "1", model_digest(["m", *classes]))), 1, AT_US
    )
    assert feedback.value("ml_outcome_labels_total", predicted="0", actual="1") == 1
