"""The outcome of a prediction, and the reasons to refuse a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, get_args

from tidegate.monitoring.feedback.prediction_ids import Prediction

Label = str | int
Reason = Literal["malformed", "forged", "expired", "replayed", "foreign_version", "unknown_label"]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
Counted = Mapping[str, tuple[tuple[str, ...], float]]
"""The counters that grow, each with the values of its further labels and by how much it does."""


class OutcomeRefusedError(ValueError):
    """A label that is not counted, for the given `reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """A prediction with its true label."""

    prediction: Prediction
    lag_seconds: float
    """Time from the response to the label."""
    values: Mapping[str, Any]
    """`tidegate.outcome` of its event: what was predicted, what is true, and how they compare."""
    counted: Counted

    def fields(self, model: str) -> dict[str, Any]:
        """The fields of its event, with the model's name."""
        of = self.prediction
        return {
            "event": {"action": "label", "outcome": "success"},
            "trace": {"id": of.trace_id},
            "span": {"id": of.span_id},
            "tidegate": {
                "model": {"name": model, "version": of.version},
                "outcome": {
                    **self.values,
                    "lag_seconds": round(self.lag_seconds, 3),
                    "row": of.row,
                },
            },
        }


@dataclass(frozen=True, slots=True)
class OutcomeCounter:
    """A counter of outcomes, by model, version, and further labels."""

    name: str
    text: str
    labels: tuple[str, ...]
    known: Sequence[tuple[str, ...]]
    """The values of these labels whose series are created at 0."""


class Truth(Protocol):
    """What a label of one kind of model is: one of its classes, any text, or a number."""

    @property
    def digest(self) -> bytes:
        """The digest in the prediction ids of this model; equal if a label means the same."""
        ...

    def outcome(
        self, prediction: Prediction, label: object, lag_seconds: float, *, served: bool
    ) -> Outcome:
        """The outcome of a prediction with this digest, for the label as it was received.

        What was measured on held-out rows is known here only of the version that is `served`.

        Raises:
            OutcomeRefusedError: it is not a label of this model.
        """
        ...

    def counters(self) -> Sequence[OutcomeCounter]:
        """What is counted of its outcomes."""
        ...


def event_message(fields: Mapping[str, Any]) -> str:
    """The message of an outcome's event with these fields: the label, and what was predicted."""
    outcome = fields["tidegate"]["outcome"]
    kind = "" if "actual" in outcome else "_value"
    return f"label {outcome[f'actual{kind}']}, predicted {outcome[f'predicted{kind}']}"
