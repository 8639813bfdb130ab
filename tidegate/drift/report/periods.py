"""The periods of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
