"""Processing of feedback: accepts each valid label once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from tidegate.monitoring.feedback.outcome_metrics import OutcomeMetrics
from tidegate.monitoring.feedback.outcomes import Label, Outcome, OutcomeRefusedError
from tidegate.monitoring.feedback.prediction_ids import (
    ForgedIdError,
    MalformedIdError,
    Prediction,
    PredictionIds,
    classes_digest,
)


class FeedbackProcessor:
    """Accepts labels for predictions of the served version and of earlier versions.

    The signature of an id proves that this installation made the prediction. An id has the position of the
    predicted class, so the model's name and classes must be those of the prediction.

    This process counts each prediction once while its id is among the last `memory` ones. Another replica
    does not know these ids, so its counter would count the label again. The events have the same id, so the
    store has each outcome once.

    Args:
        model: the model's name.
        version: the served version.
        classes: its classes, in order.
        ids: reads prediction ids.
        accept_seconds: the maximum age of a prediction.
        memory: the number of ids to remember.
        metrics: the counters.
        accuracy: the served version's accuracy on held-out rows, if it was measured.
    """

    def __init__(
        self,
        model: str,
        version: str,
        classes: Sequence[Label],
        ids: PredictionIds,
        *,
        accept_seconds: float,
        memory: int,
        metrics: OutcomeMetrics,
        accuracy: float | None = None,
    ) -> None:
        self._model, self._version = model, version
        self._classes = tuple(classes)
        self._digest = classes_digest(model, classes)
        self._ids = ids
        self._accept_seconds = accept_seconds
        self._memory = memory
        self._metrics = metrics
        self._accuracy = accuracy
        self._accepted: OrderedDict[bytes, None] = OrderedDict()

    def accept(self, prediction_id: object, label: object, now_us: int) -> Outcome:
        """Accept and count a label.

        Args:
            prediction_id: the id from `/predict`.
            label: one of the model's classes.
            now_us: the time in microseconds since 1970.

        Raises:
            OutcomeRefusedError: the label is not accepted.
        """
        try:
            outcome = self._check(prediction_id, label, now_us)
        except OutcomeRefusedError as refusal:
            self._metrics.refuse(refusal.reason)
            raise
        self._accepted[outcome.prediction.signature] = None
        if len(self._accepted) > self._memory:
            self._accepted.popitem(last=False)
        self._metrics.count(outcome)
        return outcome

    def _check(self, prediction_id: object, label: object, now_us: int) -> Outcome:
        prediction = self._read(prediction_id)
        if prediction.classes_digest != self._digest:
            raise OutcomeRefusedError(
                "foreign_version",
                f"The prediction is from version {prediction.version}, whose model has another name or other "
                f"classes than the served {self._model} {self._version}",
            )
        lag = max(0.0, (now_us - prediction.at_us) / 1e6)
        if lag > self._accept_seconds:
            raise OutcomeRefusedError(
                "expired",
                f"The prediction is {lag:.0f} s old; labels are accepted for {self._accept_seconds:.0f} s",
            )
        # Compare the types too, as True == 1.
        if not any(type(label) is type(each) and label == each for each in self._classes):
            shown = ", ".join(str(each) for each in self._classes[:20])
            raise OutcomeRefusedError("unknown_label", f"The label should be one of {shown}")
        if prediction.signature in self._accepted:
            raise OutcomeRefusedError(
                "replayed", "The label of this prediction has already been counted"
            )
        assert isinstance(label, str | int)  # noqa: S101 (each class is one)
        # The accuracy of other versions is not known here.
        accuracy = self._accuracy if prediction.version == self._version else None
        return Outcome(prediction, self._classes[prediction.label], label, lag, accuracy)

    def _read(self, prediction_id: object) -> Prediction:
        if not isinstance(prediction_id, str):
            raise OutcomeRefusedError(
                "malformed", "The prediction_id should be a string from /predict"
            )
        try:
            return self._ids.read(prediction_id)
        except MalformedIdError:
            message = "Invalid prediction_id; send it unchanged, as /predict returned it"
            raise OutcomeRefusedError("malformed", message) from None
        except ForgedIdError:
            message = "The prediction_id is not signed by this service, or was changed"
            raise OutcomeRefusedError("forged", message) from None
