"""The outcome of a prediction, and the reasons to refuse a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from tidegate.monitoring.feedback.prediction_ids import Prediction

Label = str | int
Reason = Literal["malformed", "forged", "expired", "replayed", "foreign_version", "unknown_label"]

REASONS: Final[tuple[Reason, ...]] = (
    "malformed",
    "forged",
    "expired",
    "replayed",
    "foreign_version",
    "unknown_label",
)


class OutcomeRefusedError(ValueError):
    """A label that is not counted, for the given `reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """A prediction with its true label.

    Attributes:
        prediction: the content of the prediction id.
        predicted: the predicted label.
        actual: the true label.
        lag_seconds: time from the response to the label.
        accuracy: the version's accuracy on held-out rows, if it is known here. The watcher reads it from the
            event, so it needs no artefact.
    """

    prediction: Prediction
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
        of = self.prediction
        accuracy = {} if self.accuracy is None else {"accuracy": round(self.accuracy, 6)}
        return {
            "event": {"action": "label", "outcome": "success"},
            "trace": {"id": of.trace_id},
            "span": {"id": of.span_id},
            "tidegate": {
                "model": {"name": model, "version": of.version},
                "outcome": {
                    "predicted": str(self.predicted),
                    "actual": str(self.actual),
                    "correct": self.correct,
                    "confidence": round(of.confidence, 6),
                    "lag_seconds": round(self.lag_seconds, 3),
                    "row": of.row,
                    **accuracy,
                },
            },
        }
