"""The periods of a report, and the quality of the predictions in one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Period:
    """The time from `begin` (inclusive) to `end` (exclusive), in seconds since 1970."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Quality:
    """The measures of the predictions of a period; see `Task`. Those without labels are None."""

    period: Period
    labels: int
    """The number of known labels."""
    realised: float | None = None
    """The mean measure: the accuracy, or the mean absolute error."""
    deviation: float | None = None
    """Its standard deviation over the rows."""
    expected: float | None = None
    """What was expected of the same rows; None also if it is unknown."""
    further: Mapping[str, float | None] = field(default_factory=dict)
    """Further measures by name; None also where unknown."""

    @property
    def gap(self) -> float | None:
        """Expected minus realised measure."""
        if self.realised is None or self.expected is None:
            return None
        return self.expected - self.realised

    @property
    def margin(self) -> float:
        """Two standard errors of the mean measure; NaN without labels."""
        return math.nan if self.deviation is None else 2 * self.deviation / math.sqrt(self.labels)


def even_periods(begin: float, end: float, count: int) -> list[Period]:
    """A number of periods of the same length, each named after its begin (UTC)."""
    edges = np.linspace(begin, end, count + 1).tolist()
    text = "%d %b %H:%M" if end - begin >= 86_400 else "%H:%M:%S"
    return [
        Period(datetime.fromtimestamp(first, UTC).strftime(text), first, last)
        for first, last in pairwise(edges)
    ]


def period_indices(periods: Sequence[Period], times: Times) -> npt.NDArray[np.intp]:
    """The index of the period of each time; -1 for a time that is in none."""
    indices = np.full(len(times), -1, np.intp)
    for number, period in enumerate(periods):
        indices[(times >= period.begin) & (times < period.end)] = number
    return indices
