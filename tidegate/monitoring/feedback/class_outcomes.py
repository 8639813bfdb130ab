"""Outcomes of a classifier: a label is one of its classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from tidegate.monitoring.feedback.outcomes import (
    Label,
    OutcomeCounter,
    OutcomeRefusedError,
    event_fields,
)
from tidegate.monitoring.feedback.prediction_ids import (
    ClassPrediction,
    LabelPrediction,
    Prediction,
    classes_digest,
)

# With more classes than this, a pair of labels has no series before its first outcome.
_MAX_PAIR_CLASSES: Final = 20
_MAX_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class ClassOutcome:
    """A predicted class with the true one.

    Attributes:
        prediction: the content of the prediction id.
        predicted: the predicted label.
        actual: the true label.
        lag_seconds: time from the response to the label.
        accuracy: the version's accuracy on held-out rows, if it is known here. The watcher reads it from the
            event, so it needs no artefact.
    """

    prediction: ClassPrediction | LabelPrediction
    predicted: Label
    actual: Label
    lag_seconds: float
    accuracy: float | None = None

    @property
    def correct(self) -> bool:
        """Whether the prediction was correct."""
        return self.predicted == self.actual

    def fields(self, model: str) -> dict[str, Any]:
        """The fields of the outcome's event."""
        fields: dict[str, Any] = {
            "predicted": str(self.predicted),
            "actual": str(self.actual),
            "correct": self.correct,
        }
        if self.prediction.confidence is not None:
            fields["confidence"] = round(self.prediction.confidence, 6)
        if self.accuracy is not None:
            fields["accuracy"] = round(self.accuracy, 6)
        return event_fields(self, model, fields)


class ClassTruth:
    """The labels of a classifier.

    An id has the position of the predicted class, so the model's name and classes must be those of the
    prediction.

    Args:
        model: the model's name.
        classes: its classes, in order.
        accuracy: the served version's accuracy on held-out rows, if it was measured.
    """

    def __init__(
        self, model: str, classes: Sequence[Label], *, accuracy: float | None = None
    ) -> None:
        self._classes = tuple(classes)
        self._accuracy = accuracy
        self.digest: Final = classes_digest(model, classes)

    def outcome(
        self, prediction: Prediction, label: object, lag_seconds: float, *, served: bool
    ) -> ClassOutcome:
        """The outcome; see `Truth`."""
        if not isinstance(prediction, ClassPrediction):
            message = "The prediction_id is of a number, and the served model predicts a class"
            raise OutcomeRefusedError("foreign_version", message)
        # Compare the types too, as True == 1.
        if not any(type(label) is type(each) and label == each for each in self._classes):
            shown = ", ".join(str(each) for each in self._classes[:_MAX_SHOWN])
            raise OutcomeRefusedError("unknown_label", f"The label should be one of {shown}")
        assert isinstance(label, str | int)  # noqa: S101 (each class is one)
        # The accuracy of other versions is not known here.
        accuracy = self._accuracy if served else None
        predicted = self._classes[prediction.label]
        return ClassOutcome(prediction, predicted, label, lag_seconds, accuracy)

    def counters(self) -> Sequence[OutcomeCounter[ClassOutcome]]:
        """Correct and wrong predictions, pairs of classes, and the Brier score."""
        return label_counters([str(label) for label in self._classes], str)


def label_counters(
    labels: Sequence[str], name: Callable[[Label], str], *, confident: bool = True
) -> Sequence[OutcomeCounter[ClassOutcome]]:
    """What is counted of the outcomes of a classifier.

    Args:
        labels: the names of its labels.
        name: the name of a label.
        confident: whether its predictions have a confidence; else a Brier score begins with the first one.
    """
    pairs = list(product(labels, labels)) if len(labels) <= _MAX_PAIR_CLASSES else []
    return (
        OutcomeCounter(
            "ml_outcomes_total",
            "Labels accepted at /feedback, by whether the prediction was correct.",
            ("correct",),
            [("true",), ("false",)],
            lambda outcome: (("true" if outcome.correct else "false",), 1),
        ),
        OutcomeCounter(
            "ml_outcome_labels_total",
            "Labels accepted at /feedback, by the predicted and the actual label.",
            ("predicted", "actual"),
            pairs,
            lambda outcome: ((name(outcome.predicted), name(outcome.actual)), 1),
        ),
        OutcomeCounter(
            "ml_outcome_squared_error_total",
            "Sum of (confidence - 1 if the prediction was correct, else 0)², for the Brier score.",
            (),
            [()] if confident else [],
            _squared_error,
        ),
    )


def _squared_error(outcome: ClassOutcome) -> tuple[tuple[str, ...], float] | None:
    confidence = outcome.prediction.confidence
    return None if confidence is None else ((), (confidence - outcome.correct) ** 2)
