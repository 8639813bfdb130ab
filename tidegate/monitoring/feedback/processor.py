"""Processing of feedback: accepts each valid label once."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry

from tidegate.monitoring.feedback.outcome_metrics import OutcomeMetrics
from tidegate.monitoring.feedback.outcomes import Outcome, OutcomeRefusedError, Truth
from tidegate.monitoring.feedback.prediction_ids import (
    ForgedIdError,
    MalformedIdError,
    Prediction,
    PredictionIds,
)
from tidegate.monitoring.feedback.recent_ids import RecentIds
from tidegate.settings import Drift


class FeedbackProcessor:
    """Accepts labels for predictions of the served version and of earlier versions.

    The signature of an id proves that this installation made the prediction. Its digest must be the one of
    the served model, or else the label could mean something else.

    This process counts each prediction once while its id is among the last `drift.label_memory` ones. Another
    replica does not know these ids, so its counter would count the label again. The events have the same id,
    so the store has each outcome once. `ids` signs and reads the prediction ids of the served version.
    """

    def __init__(
        self,
        model: str,
        version: str,
        truth: Truth,
        *,
        key: bytes,
        drift: Drift,
        registry: CollectorRegistry,
    ) -> None:
        self.ids: Final = PredictionIds(key, version, truth.digest)
        self._model, self._version = model, version
        self._truth = truth
        self._accept_seconds = drift.label_accept_seconds
        self._metrics = OutcomeMetrics(registry, model, version, truth)
        self._accepted = RecentIds(drift.label_memory)

    def accept(self, prediction_id: object, label: object, now_us: int) -> Outcome:
        """Accept and count a label, at a time in microseconds since 1970.

        Raises:
            OutcomeRefusedError: the label is not accepted.
        """
        try:
            outcome = self._check(prediction_id, label, now_us)
        except OutcomeRefusedError as refusal:
            self._metrics.refuse(refusal.reason)
            raise
        self._metrics.count(outcome)
        return outcome

    def _check(self, prediction_id: object, label: object, now_us: int) -> Outcome:
        prediction = read_prediction(self.ids, prediction_id)
        if prediction.digest != self._truth.digest:
            raise foreign(prediction.version, self._model, self._version)
        lag = max(0.0, (now_us - prediction.at_us) / 1e6)
        if lag > self._accept_seconds:
            raise OutcomeRefusedError(
                "expired",
                f"The prediction is {lag:.0f} s old; labels are accepted for {self._accept_seconds:.0f} s",
            )
        served = prediction.version == self._version
        outcome = self._truth.outcome(prediction, label, lag, served=served)
        if not self._accepted.add(prediction.signature):
            raise OutcomeRefusedError(
                "replayed", "The label of this prediction has already been counted"
            )
        return outcome


def foreign(version: str, model: str, served: str) -> OutcomeRefusedError:
    """The refusal of a prediction that another model has made."""
    return OutcomeRefusedError(
        "foreign_version",
        f"The prediction is from version {version}, whose model has another name or other labels than the "
        f"served {model} {served}",
    )


def read_prediction(ids: PredictionIds, prediction_id: object) -> Prediction:
    """The content of a prediction id.

    Raises:
        OutcomeRefusedError: it is not an id, or not signed with this key.
    """
    if not isinstance(prediction_id, str):
        raise OutcomeRefusedError(
            "malformed", "The prediction_id should be a string, as it was returned"
        )
    try:
        return ids.read(prediction_id)
    except MalformedIdError:
        message = "Invalid prediction_id; send it unchanged, as it was returned"
        raise OutcomeRefusedError("malformed", message) from None
    except ForgedIdError:
        message = "The prediction_id is not signed by this service, or was changed"
        raise OutcomeRefusedError("forged", message) from None
