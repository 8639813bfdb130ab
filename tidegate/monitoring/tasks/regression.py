"""Regression: predictions and true labels are numbers, and the mean measure is the mean absolute error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.distributions import Distribution
from tidegate.monitoring.counting.reference import MAX_VALUE
from tidegate.monitoring.counting.value_labels import ValueLabels
from tidegate.monitoring.feedback.outcomes import (
    Counted,
    Outcome,
    OutcomeCounter,
    OutcomeRefusedError,
)
from tidegate.monitoring.feedback.prediction_ids import Prediction, model_digest
from tidegate.monitoring.tasks.answers import Answers, listed, numbers
from tidegate.monitoring.tasks.labelled_rows import Floats, LabelledRows
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.number_format import Format, number_format, percent, signed
from tidegate.monitoring.tasks.panel import Line, Panel
from tidegate.monitoring.tasks.periods import Quality
from tidegate.monitoring.tasks.task import Column, Task
from tidegate.settings import Drift

MAX_POINTS: Final = 1500
"""Residuals in their plot: more would hide each other, and make the page large."""
SHOWN_RESIDUALS: Final = 0.99
"""Fraction of residuals inside the axis: a few extreme ones would flatten all others."""


# Such a residual is an error of the label, such as its unit. Counted in full, it would exceed all that its
# replica counts later, which a 64-bit float would then round away.
_MAX_HALF_WIDTHS: Final = 1e6
_INSIDE: Final = {True: "true", False: "false", None: "unknown"}


class ValueTruth:
    """The labels of a regressor, which predicts `target`.

    `coverage` is the fraction of held-out rows inside the served version's interval, if it was measured.
    """

    def __init__(
        self, model: str, *, target: str = "", unit: str = "", coverage: float | None = None
    ) -> None:
        self._coverage = coverage
        self.digest: Final = model_digest({"model": model, "target": target, "unit": unit})

    def outcome(
        self, prediction: Prediction, label: object, lag_seconds: float, *, served: bool
    ) -> Outcome:
        """The outcome; see `Truth`."""
        actual, predicted, half_width = _number(label), prediction.value, prediction.certainty
        if isinstance(predicted, str):
            message = "The prediction_id is of a label, and the model predicts numbers"
            raise OutcomeRefusedError("foreign_version", message)
        if not abs(predicted) <= MAX_VALUE:
            message = f"The predicted value is {predicted:g}, which has no distance to a label"
            raise OutcomeRefusedError("unknown_label", message)
        residual = actual - predicted
        inside = None if half_width is None else abs(residual) <= half_width
        error = min(abs(residual), _MAX_HALF_WIDTHS * (half_width or math.inf))
        values: dict[str, Any] = {
            "predicted_value": predicted,
            "actual_value": actual,
            "residual": residual,
        }
        if inside is not None:
            values |= {"inside": inside, "half_width": half_width}
        if served and self._coverage is not None:
            # The watcher reads it from the event, so it needs no artefact.
            values["coverage"] = round(self._coverage, 6)
        counted: Counted = {
            "ml_residuals_total": ((_INSIDE[inside],), 1),
            "ml_absolute_error_total": ((), error),
            "ml_squared_error_total": ((), error**2),
        }
        return Outcome(prediction, lag_seconds, values, counted)

    def counters(self) -> Sequence[OutcomeCounter]:
        """Residuals, by whether they are inside the interval, their absolute values and their squares."""
        return (
            OutcomeCounter(
                "ml_residuals_total",
                "True values accepted for a regressor, by whether they are inside the predicted "
                "interval: true, false, or unknown if the version had none.",
                ("inside",),
                [(inside,) for inside in _INSIDE.values()],
            ),
            OutcomeCounter(
                "ml_absolute_error_total",
                "Sum of |true - predicted| of these, in the unit of the target.",
                (),
                [()],
            ),
            OutcomeCounter(
                "ml_squared_error_total", "Sum of (true - predicted)² of these.", (), [()]
            ),
        )


def _number(label: object) -> float:
    # NaN is not less than anything.
    if isinstance(label, int | float) and not isinstance(label, bool) and abs(label) <= MAX_VALUE:
        return float(label)
    message = f"The label should be a number between -{MAX_VALUE:g} and {MAX_VALUE:g}"
    raise OutcomeRefusedError("unknown_label", message)


class RegressionTask(Task):
    """Predictions are numbers, with the calibrated interval of the reference if it has one.

    A row's measure is its absolute error, in the unit of the target.
    """

    known: ClassVar = ("inside",)
    further: ClassVar = ("rmse", "bias", "coverage")
    dtype: ClassVar = np.float64
    larger_is_worse: ClassVar = True
    compares_predictions: ClassVar = True
    labels_name: ClassVar = "actual values"
    quality_title: ClassVar = "Errors"
    detail_title: ClassVar = "Residuals by predicted value"
    segments_title: ClassVar = "Segments with larger errors"
    examples_title: ClassVar = "Largest errors"
    right: ClassVar = "inside"
    right_held_out: ClassVar = "coverage"
    wrong_name: ClassVar = "the share of true values outside the interval"

    def __init__(self, model: Model, drift: Drift) -> None:
        super().__init__(model, drift)
        residuals = model.reference.residuals
        self._half_width = None if residuals is None else residuals.half_width
        coverage = None if residuals is None else residuals.held_out_coverage
        self._bins = ValueLabels(model.reference.prediction)
        self.truth = ValueTruth(model.name, coverage=coverage)

    @staticmethod
    def digest(model: str) -> bytes:
        """That of a model whose target has no name."""
        return ValueTruth(model).digest

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the bins."""
        return self._bins.names

    def read(self, predictions: object, confidences: object | None) -> Answers:
        """The predicted values of one call. A prediction that is no number counts as missing."""
        if confidences is not None:
            raise ValueError("the predictions are numbers, which have no confidences")
        values = numbers(listed(predictions, "predictions"))
        listed_values: list[float] = values.tolist()
        counts = dict(zip(self.labels, self._bins.counts(values), strict=True))
        fields: dict[str, Any] = {}
        if len(values):
            fields["label"] = max(counts, key=counts.__getitem__)
            known = [value for value in listed_values if value == value]  # noqa: PLR0124 (not NaN)
            # The sum of finite numbers may be infinite, and JSON has no such number.
            if known and math.isfinite(mean := sum(known) / len(known)):
                fields["value"] = mean
        return Answers(
            counts,
            values,
            fields,
            lambda ids, at_us, request: ids.make_values(
                at_us, request, listed_values, self._half_width
            ),
        )

    def row(self, outcome: Mapping[str, Any]) -> tuple[Any, Any, tuple[float, ...]]:
        """Two finite numbers, and 1 if the true one is inside the interval, else 0."""
        predicted, actual = float(outcome["predicted_value"]), float(outcome["actual_value"])
        if not math.isfinite(actual - predicted):
            raise ValueError("a value is not finite")
        inside = outcome.get("inside")
        return predicted, actual, (math.nan if inside is None else float(bool(inside)),)

    def measure(self, rows: LabelledRows) -> Floats:
        """The absolute error."""
        return np.abs(self.detail(rows))

    def score(self, rows: LabelledRows) -> Floats:
        """The predicted value."""
        values: Floats = rows.predicted
        return values

    def detail(self, rows: LabelledRows) -> Floats:
        """The residual, actual minus predicted value."""
        found: Floats = rows.actual - rows.predicted
        return found

    def further_measures(self, rows: LabelledRows) -> tuple[float, ...]:
        """The root of the mean squared residual, its mean, and the fraction inside the intervals."""
        residuals, inside = self.detail(rows), rows.known["inside"]
        known = inside[np.isfinite(inside)]
        return (
            float(np.sqrt(np.square(residuals).mean())),
            float(residuals.mean()),
            float(known.mean()) if len(known) else math.nan,
        )

    def variance(self, earlier: Floats, newest: Floats) -> float:
        """That of two means with unequal variances (Welch, 1947)."""
        return float(earlier.var() / len(earlier) + newest.var() / len(newest))

    def worst(self, rows: LabelledRows) -> npt.NDArray[np.intp]:
        """By descending error."""
        return np.argsort(-self.measure(rows), kind="stable")

    def held_out(self) -> float | None:
        """The mean absolute error."""
        residuals = self.model.reference.residuals
        return None if residuals is None else residuals.mean_absolute_error

    def rise(self, quality: Quality) -> float | None:
        """The mean absolute error relative to that on held-out rows, minus 1."""
        held_out = self.held_out()
        return (
            quality.realised / held_out - 1 if held_out and quality.realised is not None else None
        )

    def rise_z(self, quality: Quality) -> float | None:
        """The same difference in standard deviations, as the rule `model:absolute_error_z` computes it."""
        held_out = self.model.reference.residuals
        if held_out is None or quality.realised is None or quality.deviation is None:
            return None
        spread = max(quality.deviation, held_out.deviation)
        spread *= math.sqrt(1 / quality.labels + 1 / max(1, held_out.samples))
        return (quality.realised - held_out.mean_absolute_error) / spread if spread else None

    def worsening(self, quality: Quality) -> float:
        """The rise, under the conditions of the alerts: enough labels, and z above `drift.error_z`."""
        z = self.rise_z(quality)
        if quality.labels < self.drift.outcomes or z is None or z <= self.drift.error_z:
            return 0.0
        return self.rise(quality) or 0.0

    def limits(self) -> tuple[float, float]:
        """The rises of the error."""
        return self.drift.error_rise_warning, self.drift.error_rise_critical

    def worsened(self, by: float) -> str:
        """In percent."""
        return f"error up {100 * by:.0f} %"

    def title(self) -> str:
        """The mean absolute error."""
        return f"Mean absolute error{self._unit(' ({})')}"

    def format(self, overall: Quality) -> Format:
        """With the decimals of the error on held-out rows, or else of all rows."""
        held_out = self.held_out()
        return number_format(overall.realised if held_out is None else held_out)

    def tiles(self, overall: Quality, text: Format) -> Sequence[tuple[str, str]]:
        """The errors of all rows."""
        of = self._unit(" ({})")
        return (
            (text(overall.realised), f"mean absolute error{of}"),
            (text(overall.expected), f"expected error{of}"),
            (text(self.held_out()), f"error on held-out rows{of}"),
            (percent(overall.further["coverage"]), "inside the interval"),
        )

    def summary(self, overall: Quality, newest: Quality | None) -> Iterator[str]:
        """How the newest error compares, the bias, and the coverage of the interval."""
        if newest is None:
            yield "No actual value is known, so nothing can be said about the errors."
            return
        text, of = self.format(overall), self._unit(" {}")
        yield self._compared(newest, text, of)
        bias, rmse = overall.further["bias"], overall.further["rmse"]
        if bias is not None and rmse is not None and overall.labels >= self.drift.outcomes:
            error = math.sqrt(max(0.0, rmse**2 - bias**2) / overall.labels)
            if abs(bias) > self.drift.error_z * error:
                which = "too little" if bias > 0 else "too much"
                yield f"On average the model predicts {text(abs(bias))}{of} {which}."
        coverage, residuals = overall.further["coverage"], self.model.reference.residuals
        if coverage is not None and residuals is not None:
            yield (
                f"{coverage:.1%} of the actual values are inside the predicted interval, "
                f"{residuals.held_out_coverage:.1%} of those of held-out rows."
            )

    def _compared(self, newest: Quality, text: Format, of: str) -> str:
        said = (
            f"Over {newest.labels:,} actual values of the newest period ({newest.period.name}) the mean "
            f"absolute error is {text(newest.realised)}{of}"
        )
        if (held_out := self.held_out()) is None:
            return f"{said}; there are no held-out errors to compare with."
        said += f", on held-out rows {text(held_out)}{of}"
        if (risen := self.rise(newest)) is None:
            return f"{said}."
        if newest.labels < self.drift.outcomes:
            return f"{said}; fewer than {self.drift.outcomes} values are too few to compare them."
        if self.worsening(newest) > 0:
            return f"{said}: it has risen by {100 * risen:.0f} %, which chance does not explain."
        if risen > 0:
            return f"{said}: chance may explain the difference of {100 * risen:.0f} %."
        return f"{said}: it has not risen."

    def columns(self, text: Format) -> Sequence[Column]:
        """The errors of a period."""
        return (
            Column("mean absolute error", lambda one: text(one.realised)),
            Column("expected error", lambda one: text(one.expected)),
            Column("RMSE", lambda one: text(one.further["rmse"])),
            Column("mean residual", lambda one: signed(text)(one.further["bias"])),
            Column("inside the interval", lambda one: percent(one.further["coverage"])),
        )

    def note(self) -> str:
        """What the expected error and the mean residual are."""
        return (
            f"{self._unit('Errors are in {}. ')}Rows are assigned to the period of their response. The "
            "expected error is that of held-out rows with similar predicted values. It does not detect "
            "concept drift: trust it only where no feature has drifted. The mean residual is the mean of "
            "actual minus predicted value: negative if the model predicts too much."
        )

    def example_columns(self, text: Format) -> Sequence[Column]:
        """Two numbers, their difference, and whether it is inside the interval."""
        interval = {1.0: "inside", 0.0: "outside"}
        return (
            Column("predicted", lambda one: text(one.predicted)),
            Column("actual", lambda one: text(one.actual)),
            Column("residual", lambda one: signed(text)(one.actual - one.predicted)),
            Column("interval", lambda one: interval.get(one.known["inside"], "-"), left=True),
        )

    def by_period(
        self, quality: Sequence[Quality], predictions: Distribution | None
    ) -> Panel | None:
        """The coverage of the interval."""
        found = [each.further["coverage"] for each in quality]
        values = [math.nan if value is None else value for value in found]
        if all(map(math.isnan, values)):
            return None
        lines = [Line(values, marked=True)]
        if (residuals := self.model.reference.residuals) is not None:
            lines.append(Line(residuals.held_out_coverage, colour="replicas"))
        low = max(0.0, min(0.8, float(np.nanmin(values)) - 0.05))
        title = "Fraction of actual values inside the predicted interval"
        return Panel(title, lines, fractions=True, limits=(low, 1.005))

    def by_score(self, rows: LabelledRows) -> Panel:
        """Residuals by predicted value."""
        errors, residuals = self.detail(rows), self.model.reference.residuals
        lines = [Line(0.0, colour="faint", style="dashed")]
        if residuals is not None:
            half = residuals.half_width
            name = f"interval ({residuals.coverage:.0%} of held-out rows)"
            lines += [Line(half, name=name, colour="replicas"), Line(-half, colour="replicas")]
        limit = float(np.quantile(np.abs(errors), SHOWN_RESIDUALS)) * 1.1 or None
        every = max(1, math.ceil(len(errors) / MAX_POINTS))
        sample, of = " of a sample" if every > 1 else "", self._unit(" ({})")
        return Panel(
            f"Actual minus predicted value{of}",
            lines,
            x_label=f"predicted value{of}",
            limits=(-limit if limit else None, limit),
            points=(rows.predicted[::every], errors[::every]),
            means="mean",
            band=True,
            note=f"Each point is a row{sample}. The line is the mean of a tenth of the rows: away from zero, "
            "the model is biased for such values. Where the band is wider than the two lines of the "
            "interval, the interval is too narrow. One residual in a hundred may be beyond the axis.",
        )

    def _unit(self, text: str) -> str:
        """The unit of the model's values in this text; empty if it has none."""
        return text.format(self.model.unit) if self.model.unit else ""
