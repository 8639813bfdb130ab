"""The quality of predictions: by period, by score and by segment, and the worst ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.tasks.labelled_rows import NO_SEGMENT, LabelledRows
from tidegate.monitoring.tasks.periods import Period, Quality, period_indices
from tidegate.monitoring.tasks.task import Task

MIN_LABELS: Final = 30
"""Segments with fewer labels before or now are not compared."""
BINS: Final = 10
SIGNIFICANCE: Final = 0.01

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of a similar score (confidence, or predicted value), and what is drawn of each by the task."""

    score: float
    """The mean score."""
    low: float
    """The 5th percentile of what is drawn."""
    mean: float
    high: float
    """Its 95th percentile."""
    margin: float
    """Two standard errors of the mean."""
    labels: int
    """The number of rows."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A value of a feature for which the predictions are worse than before."""

    feature: str
    value: str
    before: float
    """The mean measure before the newest period."""
    now: float
    """That in the newest period."""
    labels: int
    """The number of labels in the newest period."""
    z: float
    """The difference in standard deviations."""
    significant: bool
    """Whether it is significant, corrected for all compared segments."""


@dataclass(frozen=True, slots=True)
class Example:
    """One of the worst predictions; `predicted` and `actual` are labels or numbers."""

    answered: float
    predicted: Any
    actual: Any
    known: Mapping[str, float]
    trace: str
    row: int
    segments: tuple[str, ...]


def quality_by_period(task: Task, rows: LabelledRows, periods: Sequence[Period]) -> list[Quality]:
    """The quality of each period."""
    indices = period_indices(periods, rows.answered)
    return [
        overall_quality(task, rows.where(indices == number), period)
        for number, period in enumerate(periods)
    ]


def overall_quality(task: Task, rows: LabelledRows, period: Period) -> Quality:
    """The quality of all rows together, which were answered in this period."""
    labels = len(rows)
    if not labels:
        return Quality(period, 0, further=dict.fromkeys(task.further))
    measure, score = task.measure(rows), task.score(rows)
    expectation = task.model.reference.expectation if np.isfinite(score).all() else None
    further = zip(task.further, task.further_measures(rows), strict=True)
    return Quality(
        period,
        labels,
        realised=float(measure.mean()),
        deviation=float(measure.std()),
        expected=None if expectation is None else expectation.sum(score) / labels,
        further={name: None if math.isnan(value) else value for name, value in further},
    )


def by_score(task: Task, rows: LabelledRows, bins: int = BINS) -> list[Bin]:
    """Rows sorted by their score and split into bins of the same size."""
    score, detail = task.score(rows), task.detail(rows)
    known = np.flatnonzero(np.isfinite(score))
    order = known[np.argsort(score[known], kind="stable")]
    found: list[Bin] = []
    for part in np.array_split(order, bins):
        if len(part):
            low, high = np.quantile(detail[part], (0.05, 0.95)).tolist()
            margin = 2 * float(detail[part].std()) / math.sqrt(len(part))
            means = float(score[part].mean()), float(detail[part].mean())
            found.append(Bin(means[0], low, means[1], high, margin, len(part)))
    return found


def degraded_segments(task: Task, rows: LabelledRows, newest: Period) -> list[Segment]:
    """Segments with a worse measure in the newest period than before it, by descending z.

    Each is a test of two means, with the task's variance; `significant` applies Bonferroni's correction.
    """
    now = period_indices([newest], rows.answered) == 0
    before = rows.answered < newest.begin
    found = list(_compared(task, rows, before, now))
    limit = NormalDist().inv_cdf(1 - SIGNIFICANCE / max(1, len(found)))
    degraded = [
        Segment(*of, *means, labels, z, z > limit) for of, means, labels, z in found if z > 0
    ]
    return sorted(degraded, key=lambda segment: -segment.z)


def _compared(
    task: Task, rows: LabelledRows, before: Mask, now: Mask
) -> Iterator[tuple[tuple[str, str], tuple[float, float], int, float]]:
    measure = task.measure(rows)
    sign = 1 if task.larger_is_worse else -1
    for feature, values in rows.segments.items():
        for value in np.unique(values).tolist():
            of = values == value
            earlier, newest = measure[of & before], measure[of & now]
            if value == NO_SEGMENT or min(len(earlier), len(newest)) < MIN_LABELS:
                continue
            error = math.sqrt(task.variance(earlier, newest))
            means = float(earlier.mean()), float(newest.mean())
            z = sign * (means[1] - means[0]) / error if error else 0.0
            yield (feature, value), means, len(newest), z


def worst_predictions(task: Task, rows: LabelledRows, count: int) -> list[Example]:
    """The worst predictions, the worst one first."""
    return [
        Example(
            float(rows.answered[at]),
            rows.predicted[at].item(),
            rows.actual[at].item(),
            {name: float(values[at]) for name, values in rows.known.items()},
            str(rows.trace[at]),
            int(rows.row[at]),
            tuple(str(values[at]) for values in rows.segments.values()),
        )
        for at in task.worst(rows)[:count].tolist()
    ]
