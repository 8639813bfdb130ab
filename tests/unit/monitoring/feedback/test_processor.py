"""A label is counted once, if its prediction id is valid and not too old."""

from __future__ import annotations

import pytest

from support.harnesses.feedback import AT_US, KEY, REQUEST, SPAN, TRACE, Feedback
from tidegate.monitoring.feedback.outcomes import Label
from tidegate.monitoring.feedback.prediction_ids import PredictionIds, model_digest
from tidegate.monitoring.tasks.classification import LabelTruth

CLASSES = ("late", "on_time")
DIGEST = model_digest(["m", *CLASSES])
IDS = PredictionIds(KEY, "1", DIGEST)
EARLIER_VERSION = PredictionIds(KEY, "0", DIGEST)


def classifier(classes: tuple[Label, ...] = CLASSES, memory: int = 10) -> Feedback:
    return Feedback(LabelTruth("m", classes, accuracy=0.8), memory)


def id_of(label: int = 0, confidence: float = 0.75, ids: PredictionIds = IDS) -> str:
    (text,) = ids.make(AT_US, REQUEST, [str(label)], [confidence])
    return text


def of_another(model: str, classes: tuple[Label, ...]) -> PredictionIds:
    """Ids with the same key, for another model or other classes."""
    return PredictionIds(KEY, "0", model_digest([model, *classes]))


def test_correct_and_wrong_predictions_are_counted_with_confidence_and_lag() -> None:
    feedback = classifier()
    correct = feedback.accept(id_of(label=0), "late", 20)
    wrong = feedback.accept(id_of(label=1), "late", 30)
    assert (correct.values["correct"], wrong.values["correct"]) == (True, False)
    assert feedback.value("ml_outcomes_total", correct="true") == 1
    assert feedback.value("ml_outcomes_total", correct="false") == 1
    assert feedback.value("ml_outcome_labels_total", predicted="on_time", actual="late") == 1
    assert feedback.value("ml_outcome_squared_error_total") == 0.25**2 + 0.75**2
    assert feedback.value("ml_label_lag_seconds_sum") == 50
    fields = correct.fields("m")
    assert (fields["trace"], fields["span"]) == ({"id": TRACE}, {"id": SPAN})
    assert fields["tidegate"] == {
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
    assert classifier().accept(id_of(), "late", -5).lag_seconds == 0


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
    feedback = classifier()
    assert feedback.refused(prediction_id, label, after) == reason
    assert feedback.value("ml_outcomes_total", correct="true") == 0


def test_only_the_first_label_of_a_prediction_is_counted_after_refused_ones() -> None:
    feedback = classifier()
    feedback.refused(id_of(), "early")
    assert feedback.accept(id_of(), "late").values["correct"]
    assert feedback.refused(id_of(), "on_time") == "replayed"
    assert feedback.value("ml_outcomes_total", correct="true") == 1


def test_a_label_of_an_earlier_version_is_counted_under_that_version() -> None:
    feedback = classifier()
    earlier = id_of(label=1, ids=EARLIER_VERSION)
    fields = feedback.accept(earlier, "late").fields("m")["tidegate"]
    assert fields["model"] == {"name": "m", "version": "0"}
    assert "accuracy" not in fields["outcome"]  # not known for an earlier version
    assert feedback.value("ml_outcomes_total", correct="false") == 0
    feedback.scraped()
    assert feedback.value("ml_outcomes_total", "0", correct="false") == 1
    assert feedback.value("ml_outcomes_total", "0", correct="true") == 0
    assert feedback.value("ml_outcome_labels_total", "0", predicted="on_time", actual="late") == 1
    assert feedback.value("ml_outcome_squared_error_total", "0") == 0.75**2
    assert feedback.value("ml_label_lag_seconds_sum", "0") == 20
    assert feedback.refused(earlier, "late") == "replayed"


def test_labels_of_another_version_are_counted_after_the_first_scrape_of_its_series() -> None:
    feedback = classifier(memory=1000)
    texts = EARLIER_VERSION.make(AT_US, REQUEST, ["0"] * 500, [0.5] * 500)
    correct = 'ml_outcomes_total{correct="true",model="m",version="0"}'
    lags = 'ml_label_lag_seconds_count{model="m",version="0"}'
    for part, count in ((texts[:400], 0.0), (texts[400:], 500.0)):
        for text in part:
            feedback.accept(text, "late")
        scraped = feedback.scraped()
        assert f"{correct} {count}" in scraped
        assert f"{lags} {count}" in scraped


def test_without_scrapes_few_labels_are_buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.monitoring.feedback.outcome_metrics._MAX_BUFFERED", 3)
    feedback = classifier()
    for text in EARLIER_VERSION.make(AT_US, REQUEST, ["0"] * 5, [0.5] * 5):
        feedback.accept(text, "late")
    assert feedback.value("ml_outcomes_total", "0", correct="true") == 2
    feedback.scraped()
    assert feedback.value("ml_outcomes_total", "0", correct="true") == 5


def test_only_the_last_ids_are_remembered() -> None:
    feedback = classifier(memory=2)
    texts = IDS.make(AT_US, REQUEST, ["0"] * 3, [0.5, 0.5, 0.5])
    for text in texts:
        feedback.accept(text, "late")
    assert feedback.refused(texts[1], "late") == "replayed"
    # No longer remembered here; the store has it once.
    assert feedback.accept(texts[0], "late").values["correct"]


def test_booleans_are_not_integer_classes() -> None:
    feedback = classifier(classes=(0, 1))
    text = id_of(label=1, ids=of_another("m", (0, 1)))
    assert feedback.refused(text, True) == "unknown_label"
    assert feedback.accept(text, 1).values["correct"]


def test_with_many_classes_a_pair_has_no_series_before_its_first_label() -> None:
    classes = tuple(range(30))
    feedback = classifier(classes=classes)
    assert feedback.value("ml_outcome_labels_total", predicted="0", actual="1") is None
    feedback.accept(id_of(ids=feedback.ids), 1)
    assert feedback.value("ml_outcome_labels_total", predicted="0", actual="1") == 1
