"""What the predictions and the true labels of a watched model are: one class for each task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from math import isfinite
from typing import Any, Final, Generic, Literal

import numpy as np

from tidegate.monitoring.counting.label_text import label_text
from tidegate.monitoring.counting.reference import MISSING, Reference
from tidegate.monitoring.counting.value_labels import ValueLabels
from tidegate.monitoring.feedback.class_outcomes import ClassOutcome
from tidegate.monitoring.feedback.label_outcomes import LabelNames, LabelTruth
from tidegate.monitoring.feedback.outcomes import OutcomeT, Truth
from tidegate.monitoring.feedback.prediction_ids import (
    PredictionIds,
    labels_digest,
    target_digest,
)
from tidegate.monitoring.feedback.value_outcomes import ValueOutcome, ValueTruth
from tidegate.monitoring.watching.answers import Answers, listed
from tidegate.monitoring.watching.row_encoder import numbers

TaskName = Literal["classification", "regression"]


class Task(ABC, Generic[OutcomeT]):
    """The predictions of a model.

    Args:
        model: the model's name.
        version: its version.
        key: the key that signs prediction ids.
        reference: its reference; None if it has none.

    Attributes:
        digest: the digest in the prediction ids of a model of this task, of the model's name.
        truth: what a true label is.
    """

    digest: Callable[[str], bytes]
    truth: Truth[OutcomeT]

    @abstractmethod
    def __init__(
        self, model: str, version: str, key: bytes, reference: Reference | None
    ) -> None: ...

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """The labels of `tidegate_predictions_total` that are known in advance."""

    @abstractmethod
    def read(self, predictions: object, confidences: object | None) -> Answers:
        """The predictions of one call.

        Raises:
            ValueError: they are not of this task, or there is another number of confidences.
        """


class LabelTask(Task[ClassOutcome]):
    """Classification: predictions are labels, with or without confidences."""

    digest = staticmethod(labels_digest)

    def __init__(self, model: str, version: str, key: bytes, reference: Reference | None) -> None:
        self._names = _names(reference)
        self._calibrated = reference is not None and reference.calibration is not None
        accuracy = None if reference is None else reference.accuracy
        self.truth = LabelTruth(model, self._names, accuracy=accuracy, confident=self._calibrated)
        self._ids = PredictionIds(key, version, self.truth.digest)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the reference; without one those so far."""
        return self._names.all

    def read(self, predictions: object, confidences: object | None) -> Answers:
        """The labels of one call."""
        labels = [label_text(value) for value in listed(predictions, "predictions")]
        scores = self._scores(confidences, len(labels))
        counts = Counter(map(self._names.name, labels))
        fields: dict[str, Any] = {}
        if labels:
            fields["label"] = counts.most_common(1)[0][0]
        if scores is not None and len(scores):
            fields["probability"] = round(float(scores.mean()), 6)
        texts = [MISSING if label is None else label for label in labels]
        known = None if scores is None else scores.tolist()
        return Answers(
            counts,
            np.empty(0) if scores is None else scores,
            fields,
            lambda at_us, request: self._ids.make_labels(at_us, request, texts, known),
        )

    def _scores(self, confidences: object | None, length: int) -> Any:
        if confidences is None:
            if self._calibrated:
                raise ValueError(
                    "the reference has a calibration of confidences, so confidences are needed: pass the "
                    "probability of each predicted label as confidences="
                )
            return None
        scores = numbers(listed(confidences, "confidences"))
        if len(scores) != length:
            raise ValueError(f"there are {length} predictions and {len(scores)} confidences")
        if not ((scores >= 0) & (scores <= 1)).all():
            raise ValueError("a confidence should be a number between 0 and 1")
        return scores


class ValueTask(Task[ValueOutcome]):
    """Regression: predictions are numbers, with the calibrated interval of the reference if it has one."""

    digest = staticmethod(target_digest)

    def __init__(self, model: str, version: str, key: bytes, reference: Reference | None) -> None:
        residuals = None if reference is None else reference.residuals
        self._half_width = None if residuals is None else residuals.half_width
        self._labels = ValueLabels(None if reference is None else reference.prediction)
        coverage = None if residuals is None else residuals.held_out_coverage
        self.truth = ValueTruth(model, coverage=coverage)
        self._ids = PredictionIds(key, version, self.truth.digest)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the bins."""
        return self._labels.names

    def read(self, predictions: object, confidences: object | None) -> Answers:
        """The predicted values of one call. A prediction that is no number counts as missing."""
        if confidences is not None:
            raise ValueError("the predictions are numbers, which have no confidences")
        values = numbers(listed(predictions, "predictions"))
        listed_values: list[float] = values.tolist()
        counts = dict(zip(self.labels, self._labels.counts(values), strict=True))
        fields: dict[str, Any] = {}
        if len(values):
            fields["label"] = max(counts, key=counts.__getitem__)
            known = [value for value in listed_values if value == value]  # noqa: PLR0124 (not NaN)
            # The sum of finite numbers may be infinite, and JSON has no such number.
            if known and isfinite(mean := sum(known) / len(known)):
                fields["value"] = mean
        return Answers(
            counts,
            values,
            fields,
            lambda at_us, request: self._ids.make_values(
                at_us, request, listed_values, self._half_width
            ),
        )


def _names(reference: Reference | None) -> LabelNames:
    if reference is None or reference.prediction is None:
        return LabelNames()
    bins = reference.prediction
    *names, other, missing = bins.labels
    known = dict(zip(bins.bins, names, strict=False))
    return LabelNames(known, other=other, missing=missing)


TASKS: Final[dict[TaskName, type[Task[Any]]]] = {
    "classification": LabelTask,
    "regression": ValueTask,
}
