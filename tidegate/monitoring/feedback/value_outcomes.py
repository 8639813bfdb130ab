"""Outcomes of a regressor: a label is a number, and the outcome its distance from the predicted one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tidegate.monitoring.counting.reference import MAX_VALUE
from tidegate.monitoring.feedback.outcomes import (
    OutcomeCounter,
    OutcomeRefusedError,
    event_fields,
)
from tidegate.monitoring.feedback.prediction_ids import (
    Prediction,
    ValuePrediction,
    target_digest,
)

# Such a residual is an error of the label, such as its unit. Counted in full, it would exceed all that its
# replica counts later, which a 64-bit float would then round away.
_MAX_HALF_WIDTHS: Final = 1e6


@dataclass(frozen=True, slots=True)
class ValueOutcome:
    """A predicted number with the true one.

    Attributes:
        prediction: the content of the prediction id.
        actual: the true value.
        lag_seconds: time from the response to the label.
        coverage: the fraction of held-out rows inside the version's interval, if it is known here. The
            watcher reads it from the event, so it needs no artefact.
    """

    prediction: ValuePrediction
    actual: float
    lag_seconds: float
    coverage: float | None = None

    @property
    def residual(self) -> float:
        """True minus predicted value."""
        return self.actual - self.prediction.value

    @property
    def inside(self) -> bool | None:
        """Whether the true value is inside the predicted interval; None if there was none."""
        half_width = self.prediction.half_width
        return None if half_width is None else abs(self.residual) <= half_width

    def fields(self, model: str) -> dict[str, Any]:
        """The fields of the outcome's event."""
        fields: dict[str, Any] = {
            "predicted_value": self.prediction.value,
            "actual_value": self.actual,
            "residual": self.residual,
        }
        if self.inside is not None:
            fields |= {"inside": self.inside, "half_width": self.prediction.half_width}
        if self.coverage is not None:
            fields["coverage"] = round(self.coverage, 6)
        return event_fields(self, model, fields)


class ValueTruth:
    """The labels of a regressor.

    Args:
        model: the model's name.
        target: the name of the number that it predicts.
        unit: its unit.
        coverage: the fraction of held-out rows inside the served version's interval, if it was measured.
    """

    def __init__(
        self, model: str, *, target: str = "", unit: str = "", coverage: float | None = None
    ) -> None:
        self._coverage = coverage
        self.digest: Final = target_digest(model, target, unit)

    def outcome(
        self, prediction: Prediction, label: object, lag_seconds: float, *, served: bool
    ) -> ValueOutcome:
        """The outcome; see `Truth`."""
        actual = _number(label)
        if not isinstance(prediction, ValuePrediction):
            message = "The prediction_id is of a class, and the served model predicts a number"
            raise OutcomeRefusedError("foreign_version", message)
        if not abs(prediction.value) <= MAX_VALUE:
            message = (
                f"The predicted value is {prediction.value:g}, which has no distance to a label"
            )
            raise OutcomeRefusedError("unknown_label", message)
        coverage = self._coverage if served else None
        return ValueOutcome(prediction, actual, lag_seconds, coverage)

    def counters(self) -> Sequence[OutcomeCounter[ValueOutcome]]:
        """Residuals, by whether they are inside the interval, their absolute values and their squares."""
        return (
            OutcomeCounter(
                "ml_residuals_total",
                "True values accepted for a regressor, by whether they are inside the predicted "
                "interval: true, false, or unknown if the version had none.",
                ("inside",),
                [(inside,) for inside in _INSIDE.values()],
                lambda outcome: ((_INSIDE[outcome.inside],), 1),
            ),
            OutcomeCounter(
                "ml_absolute_error_total",
                "Sum of |true - predicted| of these, in the unit of the target.",
                (),
                [()],
                lambda outcome: ((), _error(outcome)),
            ),
            OutcomeCounter(
                "ml_squared_error_total",
                "Sum of (true - predicted)² of these.",
                (),
                [()],
                lambda outcome: ((), _error(outcome) ** 2),
            ),
        )


def _number(label: object) -> float:
    # NaN is not less than anything.
    if isinstance(label, int | float) and not isinstance(label, bool) and abs(label) <= MAX_VALUE:
        return float(label)
    message = f"The label should be a number between -{MAX_VALUE:g} and {MAX_VALUE:g}"
    raise OutcomeRefusedError("unknown_label", message)


def _error(outcome: ValueOutcome) -> float:
    limit = _MAX_HALF_WIDTHS * (outcome.prediction.half_width or math.inf)
    return min(abs(outcome.residual), limit)


_INSIDE: Final = {True: "true", False: "false", None: "unknown"}
