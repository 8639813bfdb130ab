"""Outcomes of a classifier whose classes are not known in advance: a label is any text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidegate.monitoring.counting.label_text import label_text
from tidegate.monitoring.feedback.class_outcomes import ClassOutcome, label_counters
from tidegate.monitoring.feedback.outcomes import OutcomeCounter, OutcomeRefusedError
from tidegate.monitoring.feedback.prediction_ids import (
    LabelPrediction,
    Prediction,
    labels_digest,
)

MAX_LABELS: Final = 50
"""Further labels that the reference does not have are counted as `other`."""


class LabelNames:
    """The labels of the metrics of a model: those of its reference, and the first `MAX_LABELS` others.

    A label costs series, so an unlimited number of them would exhaust the memory. With a reference its label
    `other` counts all that it does not have.

    Args:
        known: the labels of the reference with their names; None without a reference.
        other: the name of the labels beyond those.
        missing: the name of a missing label.
    """

    def __init__(
        self, known: dict[str, str] | None = None, *, other: str = "other", missing: str = "missing"
    ) -> None:
        self._open = known is None
        self._names: dict[str, str] = dict(known or {})
        self.other: Final = other
        self.missing: Final = missing

    @property
    def all(self) -> tuple[str, ...]:
        """The names so far."""
        return (*self._names.values(), self.other, self.missing)

    def name(self, label: str | None) -> str:
        """The name of a label; None is missing."""
        if label is None:
            return self.missing
        name = self._names.get(label)
        if name is not None:
            return name
        if self._open and len(self._names) < MAX_LABELS:
            # A label of its own may be called as the others are.
            name = f"={label}" if label in {self.other, self.missing} else label
            return self._names.setdefault(label, name)
        return self.other


class LabelTruth:
    """The labels of a model whose classes are not known: any text, number or boolean.

    Args:
        model: the model's name.
        names: the names of the labels in metrics.
        accuracy: the served version's accuracy on held-out rows, if it was measured.
        confident: whether its predictions have a confidence.
    """

    def __init__(
        self,
        model: str,
        names: LabelNames,
        *,
        accuracy: float | None = None,
        confident: bool = False,
    ) -> None:
        self._names = names
        self._accuracy = accuracy
        self._confident = confident
        self.digest: Final = labels_digest(model)

    def outcome(
        self, prediction: Prediction, label: object, lag_seconds: float, *, served: bool
    ) -> ClassOutcome:
        """The outcome; see `Truth`."""
        if not isinstance(prediction, LabelPrediction):
            message = "The prediction_id is not of a label, and the watched model predicts labels"
            raise OutcomeRefusedError("foreign_version", message)
        actual = label_text(label) if isinstance(label, _SCALARS) else None
        if actual is None:
            message = "The label should be a string, a number or a boolean"
            raise OutcomeRefusedError("unknown_label", message)
        accuracy = self._accuracy if served else None
        return ClassOutcome(prediction, prediction.label, actual, lag_seconds, accuracy)

    def counters(self) -> Sequence[OutcomeCounter[ClassOutcome]]:
        """Correct and wrong predictions, pairs of the names of labels, and the Brier score."""
        return label_counters(
            self._names.all, lambda label: self._names.name(str(label)), confident=self._confident
        )


_SCALARS: Final = (str, int, float)
