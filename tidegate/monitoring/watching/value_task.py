"""Regression: predictions are numbers, with the calibrated interval of the reference if it has one."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from tidegate.monitoring.counting.reference import Reference
from tidegate.monitoring.counting.value_labels import ValueLabels
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.monitoring.feedback.value_outcomes import ValueTruth
from tidegate.monitoring.watching.answers import Answers, listed
from tidegate.monitoring.watching.row_encoder import numbers


class ValueTask:
    """The predicted values of a model.

    Args:
        model: the model's name.
        version: its version.
        key: the key that signs prediction ids.
        reference: its reference; None if it has none.
    """

    def __init__(self, model: str, version: str, key: bytes, reference: Reference | None) -> None:
        residuals = None if reference is None else reference.residuals
        self._half_width = None if residuals is None else residuals.half_width
        self._labels = ValueLabels(None if reference is None else reference.prediction)
        coverage = None if residuals is None else residuals.held_out_coverage
        self.truth: Final = ValueTruth(model, coverage=coverage)
        self._ids = PredictionIds(key, version, self.truth.digest)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the bins."""
        return self._labels.names

    def read(self, predictions: object, confidences: object | None) -> Answers:
        """The predicted values of one call; see `Task`. A prediction that is no number counts as missing."""
        if confidences is not None:
            raise ValueError("the predictions are numbers, which have no confidences")
        values = numbers(listed(predictions, "predictions"))
        counts = dict(zip(self.labels, self._labels.counts(values), strict=True))
        fields: dict[str, Any] = {}
        if len(values):
            fields["label"] = max(counts, key=counts.__getitem__)
            known = values[~np.isnan(values)]
            if len(known):
                fields["value"] = float(known.mean())
        listed_values = values.tolist()
        return Answers(
            counts,
            values,
            fields,
            lambda at_us, request: self._ids.make_values(
                at_us, request, listed_values, self._half_width
            ),
        )
