"""The outcome of a prediction, and the reasons to refuse a label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

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


class Outcome(Protocol):
    """A prediction with its true label."""

    @property
    def prediction(self) -> Prediction:
        """The content of the prediction id."""
        ...

    @property
    def lag_seconds(self) -> float:
        """Time from the response to the label."""
        ...

    def fields(self, model: str) -> dict[str, Any]:
        """The fields of the outcome's event."""
        ...


OutcomeT = TypeVar("OutcomeT", bound=Outcome)


@dataclass(frozen=True, slots=True)
class OutcomeCounter(Generic[OutcomeT]):
    """A counter of the outcomes of one kind of model, by model, version, and further labels.

    Attributes:
        name: its name.
        text: its help text.
        labels: the further labels.
        known: the values of these labels whose series are created at 0.
        count: the values of these labels for an outcome, and by how much it grows; None if it does not.
    """

    name: str
    text: str
    labels: tuple[str, ...]
    known: Sequence[tuple[str, ...]]
    count: Callable[[OutcomeT], tuple[tuple[str, ...], float] | None]


class Truth(Protocol[OutcomeT]):
    """What a label of one kind of model is: one of its classes, or a number."""

    @property
    def digest(self) -> bytes:
        """The digest in the prediction ids of this model; equal if a label means the same."""
        ...

    def outcome(
        self, prediction: Prediction, label: object, lag_seconds: float, *, served: bool
    ) -> OutcomeT:
        """The outcome of a prediction with this digest.

        Args:
            prediction: the content of the prediction id.
            label: the true label, as received.
            lag_seconds: time from the response to the label.
            served: whether the served version made the prediction.

        Raises:
            OutcomeRefusedError: it is not a label of this model.
        """
        ...

    def counters(self) -> Sequence[OutcomeCounter[OutcomeT]]:
        """What is counted of its outcomes."""
        ...


def event_fields(outcome: Outcome, model: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of an outcome's event.

    Args:
        outcome: the outcome.
        model: the model's name.
        fields: the fields of this kind of outcome, for `tidegate.outcome`.
    """
    of = outcome.prediction
    return {
        "event": {"action": "label", "outcome": "success"},
        "trace": {"id": of.trace_id},
        "span": {"id": of.span_id},
        "tidegate": {
            "model": {"name": model, "version": of.version},
            "outcome": {
                **fields,
                "lag_seconds": round(outcome.lag_seconds, 3),
                "row": of.row,
            },
        },
    }


def event_message(fields: Mapping[str, Any]) -> str:
    """The message of an outcome's event with these fields: the label, and what was predicted."""
    outcome = fields["tidegate"]["outcome"]
    kind = "" if "actual" in outcome else "_value"
    return f"label {outcome[f'actual{kind}']}, predicted {outcome[f'predicted{kind}']}"
