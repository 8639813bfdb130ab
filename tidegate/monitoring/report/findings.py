"""Everything a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp

from tidegate.monitoring.counting.distributions import (
    Distribution,
    feature_distributions,
    prediction_distribution,
)
from tidegate.monitoring.report.alerts import FIRING, FiredAlert, fired_alerts
from tidegate.monitoring.report.counter_increases import (
    TIMEOUT_SECONDS,
    Series,
    increases_by,
    query_range,
)
from tidegate.monitoring.report.quality import (
    Bin,
    Example,
    Segment,
    by_score,
    degraded_segments,
    overall_quality,
    quality_by_period,
    worst_predictions,
)
from tidegate.monitoring.tasks.labelled_rows import LabelledRows
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.periods import Period, Quality
from tidegate.monitoring.tasks.task import Task
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.prometheus import Prometheus
from tidegate.settings import Drift

EXAMPLES: Final = 12
SEGMENTS: Final = 10


@dataclass(frozen=True, slots=True)
class Counters:
    """What Prometheus has counted."""

    features: Sequence[Distribution] = ()
    """In the reference's order; empty if nothing was counted."""
    predictions: Distribution | None = None
    alerts: Sequence[FiredAlert] = ()
    error: str = ""
    """Why the counters are unknown; empty if they are known. With an error, empty features and alerts do not
    mean that nothing has drifted or fired."""


@dataclass(frozen=True, slots=True)
class NewerVersion:
    """A version that answered after the one of the report, and when it last did, in seconds since 1970."""

    version: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything a report shows."""

    task: Task
    span: Period
    """The time of the report."""
    periods: Sequence[Period]
    """Its parts."""
    counters: Counters
    rows: LabelledRows
    quality: Sequence[Quality]
    """That of each period."""
    overall: Quality
    """That of all rows."""
    bins: Sequence[Bin]
    """The rows by score."""
    segments: Sequence[Segment]
    """Those that have become worse."""
    examples: Sequence[Example]
    """The worst predictions."""
    newer: NewerVersion | None = None
    """The version that answers now, if it is not the model's."""

    @property
    def model(self) -> Model:
        """The model."""
        return self.task.model

    @property
    def drift(self) -> Drift:
        """The thresholds."""
        return self.task.drift

    @property
    def drifted(self) -> list[Distribution]:
        """The features that have drifted over the whole span."""
        limit, rows = self.drift.psi_warning, self.drift.samples
        return [each for each in self.counters.features if each.drifted(limit, rows)]

    @property
    def predictions_drifted(self) -> bool:
        """Whether the predictions have drifted over the whole span."""
        of = self.counters.predictions
        return of is not None and of.drifted(self.drift.psi_warning, self.drift.samples)

    @property
    def distributions(self) -> Sequence[Distribution]:
        """Those compared with training: of features, and of predictions if the task compares them."""
        predictions = self.counters.predictions
        if not self.task.compares_predictions or predictions is None:
            return self.counters.features
        return [replace(predictions, name="predicted value"), *self.counters.features]

    @property
    def newest(self) -> Quality | None:
        """The last period that has labels."""
        return newest(self.quality)

    @property
    def worsening(self) -> float:
        """By how much the newest period is worse than held-out rows, in the unit of the task's limits."""
        if self.newest is None:
            return 0.0
        return self.task.worsening(self.newest)

    @property
    def badge(self) -> tuple[str, str]:
        """The report in a few words, and its level: good, doubtful or bad."""
        worse, task = self.worsening, self.task
        unknown = ["drift unknown"] if self.counters.error else []
        worsened = ", ".join([task.worsened(worse), *unknown])
        warning, critical = task.limits()
        if worse > critical:
            return worsened, "bad"
        if drifted := len(self.drifted):
            return f"{drifted} feature{'s' * (drifted > 1)} drifted", "doubtful"
        if task.compares_predictions and self.predictions_drifted:
            return "predicted values drifted", "doubtful"
        if worse > warning:
            return worsened, "doubtful"
        return (unknown[0], "doubtful") if unknown else ("no drift found", "good")

    @property
    def summary(self) -> list[str]:
        """What the report found, one sentence each."""
        said, of = [*self.task.summary(self.overall, self.newest)], self.counters.predictions
        if self.task.compares_predictions and self.newest and of is not None and of.psi is not None:
            drifted = "has" if self.predictions_drifted else "has not"
            said.append(
                f"The distribution of the predicted values {drifted} drifted (PSI {of.psi:.2f})."
            )
        return said


def newest(quality: Sequence[Quality]) -> Quality | None:
    """The last period that has labels."""
    return next((each for each in reversed(quality) if each.labels), None)


def build_findings(
    task: Task,
    rows: LabelledRows,
    counters: Counters,
    *,
    span: Period,
    periods: Sequence[Period],
    newer: NewerVersion | None = None,
) -> Findings:
    """The findings from labelled rows and counters, for these periods."""
    quality = quality_by_period(task, rows, periods)
    last = newest(quality)
    return Findings(
        task=task,
        span=span,
        periods=periods,
        counters=counters,
        rows=rows,
        quality=quality,
        overall=overall_quality(task, rows, span),
        bins=by_score(task, rows),
        segments=degraded_segments(task, rows, last.period)[:SEGMENTS] if last else [],
        examples=worst_predictions(task, rows, EXAMPLES),
        newer=newer,
    )


async def query_counters(
    prometheus: str, model: Model, drift: Drift, span: Period, periods: Sequence[Period]
) -> Counters:
    """Query Prometheus. If it is unavailable, the result has the error."""
    match = f'{{job="model", model="{model.name}", version="{model.version}"}}'
    found: dict[str, Any] = {}
    try:
        async with aiohttp.ClientSession(trust_env=False) as session:
            client = Prometheus(session, prometheus, TIMEOUT_SECONDS)
            for name in ("ml_feature_observations_total", "tidegate_predictions_total"):
                query = name + match
                found[name] = await query_range(client, query, span.begin, span.end)
            seconds = max(1, round(span.end - span.begin))
            fired = await client.query(f"{FIRING}[{seconds}s]", span.end)
            alerts = fired_alerts(map(Series.of, fired))
    except HttpError as error:
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
