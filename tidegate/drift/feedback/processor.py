"""Where labels are handed in: which are taken, each once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from tidegate.drift.feedback.outcome_metrics import OutcomeMetrics
from tidegate.drift.feedback.outcomes import Label, Outcome, OutcomeRefusedError
from tidegate.drift.feedback.prediction_ids import (
    ForgedIdError,
    MalformedIdError,
    Prediction,
    PredictionIds,
    classes_digest,
)


class FeedbackProcessor:
    """Where labels are handed in, for predictions of the version that is served and of those before it.

    That an id is signed proves that this installation made the prediction, and its time that it served the
    version then. What has to fit is what the id says by position: the classes, and whose they are.

    Within this process each prediction is counted once, as long as its id is among the last `memory` ones.
    Another replica does not know of it: its counter would count it too. Their events have the same id, so
    the store has each outcome once.

    Args:
        model: the model's name.
        version: that is served here.
        classes: its classes, in their order.
        ids: reads prediction ids.
        accept_seconds: how long after its answer a label is taken.
        memory: ids to remember.
        metrics: where to count.
        accuracy: the share of right labels on the version's held-out rows, if it was measured.
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
        self._answers = classes_digest(model, classes)
        self._ids = ids
        self._accept_seconds = accept_seconds
        self._memory = memory
        self._metrics = metrics
        self._accuracy = accuracy
        self._taken: OrderedDict[bytes, None] = OrderedDict()

    def accept(self, prediction_id: object, label: object, now_us: int) -> Outcome:
        """Count a label.

        Args:
            prediction_id: as /predict gave it.
            label: one of the model's classes.
            now_us: now, in microseconds since 1970.

        Raises:
            OutcomeRefusedError: it is not counted.
        """
        try:
            outcome = self._check(prediction_id, label, now_us)
        except OutcomeRefusedError as refusal:
            self._metrics.refuse(refusal.reason)
            raise
        self._taken[outcome.prediction.signature] = None
        if len(self._taken) > self._memory:
            self._taken.popitem(last=False)
        self._metrics.count(outcome)
        return outcome

    def _check(self, prediction_id: object, label: object, now_us: int) -> Outcome:
        prediction = self._read(prediction_id)
        if prediction.answers != self._answers:
            raise OutcomeRefusedError(
                "foreign_version",
                f"It is of version {prediction.version}, a model of another name or of other classes than "
                f"{self._model} {self._version}, which is served here",
            )
        lag = max(0.0, (now_us - prediction.at_us) / 1e6)
        if lag > self._accept_seconds:
            raise OutcomeRefusedError(
                "expired",
                f"It is {lag:.0f} s old; labels are taken for {self._accept_seconds:.0f} s",
            )
        # Of the same type: True is no 1 to us.
        if not any(type(label) is type(each) and label == each for each in self._classes):
            shown = ", ".join(str(each) for each in self._classes[:20])
            raise OutcomeRefusedError("unknown_label", f"The label should be one of {shown}")
        if prediction.signature in self._taken:
            raise OutcomeRefusedError("replayed", "Its label is counted already")
        assert isinstance(label, str | int)  # noqa: S101 (as each class is)
        # How other versions did on their held-out rows is not known here.
        accuracy = self._accuracy if prediction.version == self._version else None
        return Outcome(prediction, self._classes[prediction.label], label, lag, accuracy)

    def _read(self, prediction_id: object) -> Prediction:
        if not isinstance(prediction_id, str):
            raise OutcomeRefusedError("malformed", "A prediction_id is a string from /predict")
        try:
            return self._ids.read(prediction_id)
        except MalformedIdError:
            message = "It is no prediction_id; give it back as /predict gave it"
            raise OutcomeRefusedError("malformed", message) from None
        except ForgedIdError:
            message = "It is not signed by this service, or was changed"
            raise OutcomeRefusedError("forged", message) from None
