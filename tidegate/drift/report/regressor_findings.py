"""Everything a report on a regressor shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tidegate.drift.report.distributions import Distribution
from tidegate.drift.report.errors import (
    ErrorQuality,
    ErrorSegment,
    LargeError,
    ValueBin,
    by_predicted_value,
    errors_by_period,
    largest_errors,
    overall_errors,
    segments_by_error,
)
from tidegate.drift.report.findings import (
    EXAMPLES,
    SEGMENTS,
    CommonFindings,
    Counters,
    Model,
    NewerVersion,
)
from tidegate.drift.report.labelled_values import Floats, LabelledValues
from tidegate.drift.report.number_format import Format, number_format
from tidegate.drift.report.periods import Period
from tidegate.monitoring.counting.expectation import Expectation
from tidegate.monitoring.counting.reference import MISSING, FeatureReference, Residuals
from tidegate.settings import Drift


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressorFindings(CommonFindings):
    """Everything a report on a regressor shows.

    Attributes:
        quality: the errors of each period.
        overall: the errors of all rows.
        predicted: predicted values of all rows, for the plot of residuals.
        residuals: actual minus predicted values of the same rows.
        bins: residuals by predicted value.
        segments: those whose error rose most.
        examples: the largest errors.
    """

    quality: Sequence[ErrorQuality]
    overall: ErrorQuality
    predicted: Floats
    residuals: Floats
    bins: Sequence[ValueBin]
    segments: Sequence[ErrorSegment]
    examples: Sequence[LargeError]

    @property
    def held_out(self) -> Residuals | None:
        """The errors on held-out rows; None if they were not measured."""
        return self.model.reference.residuals

    @property
    def format(self) -> Format:
        """Formats values of the target's unit, by the size of the errors."""
        held_out = self.held_out
        return number_format(held_out.mean_absolute_error if held_out else self.overall.error)

    @property
    def newest(self) -> ErrorQuality | None:
        """The last period that has labels."""
        return next((each for each in reversed(self.quality) if each.labels), None)

    @property
    def rise(self) -> float | None:
        """The significant rise of the error in the newest period; None if there is none.

        The conditions are those of the alerts: enough labels, and z above `drift.error_z`.
        """
        newest, held_out = self.newest, self.held_out
        if newest is None or held_out is None or newest.labels < self.drift.outcomes:
            return None
        z, rise = newest.z(held_out), newest.rise(held_out)
        return rise if z is not None and z > self.drift.error_z else None

    @property
    def distributions(self) -> Sequence[Distribution]:
        """Those of the features, and that of the predicted values."""
        values = self.counters.predictions
        bins = self.model.reference.prediction
        if values is None or bins is None:
            return self.counters.features
        own = [replace(values, name="predicted value", bins=_ranges(bins))]
        return [*own, *self.counters.features]

    @property
    def predictions_drifted(self) -> bool:
        """Whether the predicted values have drifted over the whole span."""
        of = self.counters.predictions
        return of is not None and of.drifted(self.drift.psi_warning, self.drift.samples)


def build_regressor_findings(
    model: Model,
    drift: Drift,
    rows: LabelledValues,
    counters: Counters,
    *,
    span: Period,
    periods: Sequence[Period],
    newer: NewerVersion | None = None,
) -> RegressorFindings:
    """The findings from labelled rows and counters, for these periods."""
    held_out = model.reference.residuals
    expectation = None if held_out is None else Expectation.of_values(held_out)
    quality = errors_by_period(rows, periods, expectation)
    newest = next((each.period for each in reversed(quality) if each.labels), None)
    return RegressorFindings(
        model=model,
        drift=drift,
        span=span,
        periods=periods,
        counters=counters,
        quality=quality,
        overall=overall_errors(rows, span, expectation),
        predicted=rows.predicted,
        residuals=rows.residuals,
        bins=by_predicted_value(rows),
        segments=segments_by_error(rows, newest)[:SEGMENTS] if newest else [],
        segment_names=list(rows.segments),
        examples=largest_errors(rows, EXAMPLES),
        newer=newer,
    )


def _ranges(bins: FeatureReference) -> tuple[str, ...]:
    """Names of the bins of values by their edges."""
    edges = [f"{edge:.3g}" for edge in bins.edges]
    if not edges:
        return bins.labels
    between = [f"{low}-{high}" for low, high in pairwise(edges)]
    return (f"< {edges[0]}", *between, f"> {edges[-1]}", MISSING)
