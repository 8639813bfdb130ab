"""All that a report says, gathered: from the artefact, the store and Prometheus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tidegate.drift.counting.confidence import Expectation
from tidegate.drift.counting.reference import Reference
from tidegate.drift.report.alerts import ALERTS, Fired, fired
from tidegate.drift.report.counter_increases import PrometheusAwayError, growth_by, raw, samples
from tidegate.drift.report.distributions import Distribution, answers, distributions
from tidegate.drift.report.labelled_rows import Labelled
from tidegate.drift.report.periods import Period
from tidegate.drift.report.quality import (
    Bin,
    Example,
    Quality,
    Segment,
    by_period,
    calibration,
    overall,
    segments_that_fell,
    worst,
)
from tidegate.settings import Drift

EXAMPLES: Final = 12
SEGMENTS: Final = 10


@dataclass(frozen=True, slots=True)
class Model:
    """The model that a report is about.

    Attributes:
        name: its name.
        version: its version.
        labels: what it answers, in the order of its classes.
        accuracy: on held-out rows; None if it was not measured.
        reference: how things were at its training.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    accuracy: float | None
    reference: Reference

    @property
    def expectation(self) -> Expectation | None:
        """Its calibration as a function."""
        curve = self.reference.calibration
        return None if curve is None else Expectation(curve)


@dataclass(frozen=True, slots=True)
class Counted:
    """What Prometheus has counted.

    Attributes:
        features: in the reference's order; empty if nothing was counted.
        answers: the labels given.
        alerts: that fired.
        trouble: why there is nothing, in words; empty if there is. With it, no features and no
            alerts do not mean that nothing has drifted or fired.
    """

    features: Sequence[Distribution] = ()
    answers: Distribution | None = None
    alerts: Sequence[Fired] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Newer:
    """Another version that answered after the one of the report, and when last, in seconds since 1970."""

    version: str
    at: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What a page shows.

    Attributes:
        newer: the version that answers by now, if it is not the model's.
        reasons: why an alert fired, by the alert, where somebody knows.
    """

    model: Model
    drift: Drift
    span: Period
    periods: Sequence[Period]
    counted: Counted
    quality: Sequence[Quality]
    overall: Quality
    calibration: Sequence[Bin]
    segments: Sequence[Segment]
    segment_names: Sequence[str]
    examples: Sequence[Example]
    newer: Newer | None = None
    reasons: Mapping[Fired, str] = field(default_factory=dict)

    @property
    def drifted(self) -> list[Distribution]:
        """The features that have drifted over the whole span."""
        limit, rows = self.drift.psi_warning, self.drift.samples
        return [each for each in self.counted.features if each.drifted(limit, rows)]

    @property
    def newest(self) -> Quality | None:
        """The last period that has labels."""
        return next((each for each in reversed(self.quality) if each.labels), None)


def gather(
    model: Model,
    drift: Drift,
    rows: Labelled,
    counted: Counted,
    *,
    span: Period,
    periods: Sequence[Period],
    newer: Newer | None = None,
    reasons: Mapping[Fired, str] | None = None,
) -> Findings:
    """What rows and counters say, for these periods."""
    expectation = model.expectation
    quality = by_period(rows, periods, expectation)
    newest = next((each.period for each in reversed(quality) if each.labels), None)
    return Findings(
        model=model,
        drift=drift,
        span=span,
        periods=periods,
        counted=counted,
        quality=quality,
        overall=overall(rows, span, expectation),
        calibration=calibration(rows),
        segments=segments_that_fell(rows, newest)[:SEGMENTS] if newest else [],
        segment_names=list(rows.segments),
        examples=worst(rows, EXAMPLES),
        newer=newer,
        reasons=reasons or {},
    )


async def count(
    prometheus: str, model: Model, drift: Drift, span: Period, periods: Sequence[Period]
) -> Counted:
    """Ask Prometheus; if it is away, the answer says so."""
    match = f'{{job="model", model="{model.name}", version="{model.version}"}}'
    found: dict[str, Any] = {}
    try:
        async with aiohttp.ClientSession(trust_env=False) as session:
            for name in ("ml_feature_observations_total", "tidegate_predictions_total"):
                found[name] = await samples(session, prometheus, name + match, span.begin, span.end)
            seconds = max(1, round(span.end - span.begin))
            alerts = fired(await raw(session, prometheus, f"{ALERTS}[{seconds}s]", span.end))
    except PrometheusAwayError as error:
        return Counted(trouble=str(error))
    features, predictions = found.values()
    if not features:
        return Counted(alerts=alerts, trouble=_nothing(model))
    began = span.begin
    observed = growth_by(features, periods, began, "feature", "bin")
    given = growth_by(predictions, periods, began, "label")
    return Counted(
        distributions(model.reference, observed, len(periods), drift.significance),
        answers(model.reference, model.labels, given, len(periods), drift.significance),
        alerts,
    )


def _nothing(model: Model) -> str:
    of = f"{model.name} {model.version}"
    if not model.reference.samples:
        return f"{of} has no drift reference, as no rows lay beside its file"
    return f"Prometheus has counted nothing of {of}"
