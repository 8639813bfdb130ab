"""Everything a report on a classifier shows, and what reports on all models have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tidegate.drift.report.alerts import FIRING, FiredAlert, fired_alerts
from tidegate.drift.report.counter_increases import (
    PrometheusUnavailableError,
    increases_by,
    query_instant,
    query_range,
)
from tidegate.drift.report.distributions import (
    Distribution,
    feature_distributions,
    prediction_distribution,
)
from tidegate.drift.report.labelled_rows import LabelledRows
from tidegate.drift.report.periods import Period
from tidegate.drift.report.quality import (
    CalibrationBin,
    Example,
    Quality,
    Segment,
    calibration,
    confident_errors,
    degraded_segments,
    overall_quality,
    quality_by_period,
)
from tidegate.monitoring.counting.expectation import Expectation
from tidegate.monitoring.counting.reference import Reference
from tidegate.settings import Drift

EXAMPLES: Final = 12
SEGMENTS: Final = 10


@dataclass(frozen=True, slots=True)
class Model:
    """The model that a report is about.

    Attributes:
        name: its name.
        version: its version.
        labels: its classes, in order.
        accuracy: on held-out rows; None if it was not measured.
        reference: the distributions at training.
        unit: the unit of a regressor's values; empty if unknown.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    accuracy: float | None
    reference: Reference
    unit: str = ""

    @property
    def is_regressor(self) -> bool:
        """Whether it predicts numbers."""
        bins = self.reference.prediction
        return self.reference.residuals is not None or (bins is not None and bins.kind == "number")

    @property
    def expectation(self) -> Expectation | None:
        """Its calibration as a function."""
        curve = self.reference.calibration
        return None if curve is None else Expectation.of_confidence(curve)


@dataclass(frozen=True, slots=True)
class Counters:
    """What Prometheus has counted.

    Attributes:
        features: in the reference's order; empty if nothing was counted.
        predictions: the predicted labels.
        alerts: the alerts that fired.
        error: why the counters are unknown; empty if they are known. With an error, empty features and
            alerts do not mean that nothing has drifted or fired.
    """

    features: Sequence[Distribution] = ()
    predictions: Distribution | None = None
    alerts: Sequence[FiredAlert] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class NewerVersion:
    """A version that answered after the one of the report, and when it last did, in seconds since 1970."""

    version: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonFindings:
    """What a report on any model shows.

    Attributes:
        model: the model.
        drift: the thresholds.
        span: the time of the report.
        periods: its parts.
        counters: what Prometheus has counted.
        segment_names: the features whose values are known.
        newer: the version that answers now, if it is not the model's.
        explanations: why an alert fired, by the alert, where this is known.
    """

    model: Model
    drift: Drift
    span: Period
    periods: Sequence[Period]
    counters: Counters
    segment_names: Sequence[str]
    newer: NewerVersion | None = None
    explanations: Mapping[FiredAlert, str] = field(default_factory=dict)

    @property
    def drifted(self) -> list[Distribution]:
        """The features that have drifted over the whole span."""
        limit, rows = self.drift.psi_warning, self.drift.samples
        return [each for each in self.counters.features if each.drifted(limit, rows)]

    @property
    def distributions(self) -> Sequence[Distribution]:
        """The distributions that are compared with those at training."""
        return self.counters.features


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings(CommonFindings):
    """Everything a report on a classifier shows."""

    quality: Sequence[Quality]
    overall: Quality
    calibration: Sequence[CalibrationBin]
    segments: Sequence[Segment]
    examples: Sequence[Example]

    @property
    def newest(self) -> Quality | None:
        """The last period that has labels."""
        return next((each for each in reversed(self.quality) if each.labels), None)


def build_findings(
    model: Model,
    drift: Drift,
    rows: LabelledRows,
    counters: Counters,
    *,
    span: Period,
    periods: Sequence[Period],
    newer: NewerVersion | None = None,
    explanations: Mapping[FiredAlert, str] | None = None,
) -> Findings:
    """The findings from labelled rows and counters, for these periods."""
    expectation = model.expectation
    quality = quality_by_period(rows, periods, expectation)
    newest = next((each.period for each in reversed(quality) if each.labels), None)
    return Findings(
        model=model,
        drift=drift,
        span=span,
        periods=periods,
        counters=counters,
        quality=quality,
        overall=overall_quality(rows, span, expectation),
        calibration=calibration(rows),
        segments=degraded_segments(rows, newest)[:SEGMENTS] if newest else [],
        segment_names=list(rows.segments),
        examples=confident_errors(rows, EXAMPLES),
        newer=newer,
        explanations=explanations or {},
    )


async def query_counters(
    prometheus: str, model: Model, drift: Drift, span: Period, periods: Sequence[Period]
) -> Counters:
    """Query Prometheus. If it is unavailable, the result has the error."""
    match = f'{{job="model", model="{model.name}", version="{model.version}"}}'
    found: dict[str, Any] = {}
    try:
        async with aiohttp.ClientSession(trust_env=False) as session:
            for name in ("ml_feature_observations_total", "tidegate_predictions_total"):
                query = name + match
                found[name] = await query_range(session, prometheus, query, span.begin, span.end)
            seconds = max(1, round(span.end - span.begin))
            query = f"{FIRING}[{seconds}s]"
            alerts = fired_alerts(await query_instant(session, prometheus, query, span.end))
    except PrometheusUnavailableError as error:
        return Counters(error=str(error))
    features, predictions = found.values()
    if not features and not (predictions and not model.reference.features):
        return Counters(alerts=alerts, error=_why_nothing_is_counted(model))
    rows = increases_by(features, periods, span.begin, "feature", "bin")
    labels = increases_by(predictions, periods, span.begin, "label")
    reference, count, significance = model.reference, len(periods), drift.significance
    return Counters(
        feature_distributions(reference, rows, count, significance),
        prediction_distribution(reference, model.labels, labels, count, significance),
        alerts,
    )


def _why_nothing_is_counted(model: Model) -> str:
    of = f"{model.name} {model.version}"
    if not model.reference.samples:
        return f"{of} has no drift reference: there were no training rows beside its file"
    return f"Prometheus has no counters of {of}"
