"""Classification: predictions are labels, with or without confidences."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import numpy as np

from tidegate.monitoring.counting.label_text import label_text
from tidegate.monitoring.counting.reference import MISSING, Reference
from tidegate.monitoring.feedback.label_outcomes import LabelNames, LabelTruth
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.monitoring.watching.answers import Answers, listed
from tidegate.monitoring.watching.row_encoder import numbers


class LabelTask:
    """The labels of a model.

    Args:
        model: the model's name.
        version: its version.
        key: the key that signs prediction ids.
        reference: its reference; None if it has none.
    """

    def __init__(self, model: str, version: str, key: bytes, reference: Reference | None) -> None:
        self._names = _names(reference)
        self._calibrated = reference is not None and reference.calibration is not None
        accuracy = None if reference is None else reference.accuracy
        self.truth: Final = LabelTruth(
            model, self._names, accuracy=accuracy, confident=self._calibrated
        )
        self._ids = PredictionIds(key, version, self.truth.digest)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the reference; without one those so far."""
        return self._names.all

    def read(self, predictions: object, confidences: object | None) -> Answers:
        """The labels of one call; see `Task`."""
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


def _names(reference: Reference | None) -> LabelNames:
    if reference is None or reference.prediction is None:
        return LabelNames()
    bins = reference.prediction
    *names, other, missing = bins.labels
    known = dict(zip(bins.bins, names, strict=False))
    return LabelNames(known, other=other, missing=missing)
