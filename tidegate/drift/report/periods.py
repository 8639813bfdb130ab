"""Periods: the stretches of time by which a report tells how things went."""

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
    """From a moment up to, but without, another one; in seconds since 1970."""

    name: str
    begin: float
    end: float


def even_periods(begin: float, end: float, count: int) -> list[Period]:
    """So many of the same length, each named by when it begins (UTC)."""
    edges = np.linspace(begin, end, count + 1).tolist()
    text = "%d %b %H:%M" if end - begin >= 86_400 else "%H:%M:%S"
    return [
        Period(datetime.fromtimestamp(one, UTC).strftime(text), one, other)
        for one, other in pairwise(edges)
    ]


def place(periods: Sequence[Period], times: Times) -> npt.NDArray[np.intp]:
    """The position of each moment's period; -1 for a moment that is in none."""
    places = np.full(len(times), -1, np.intp)
    for number, period in enumerate(periods):
        places[(times >= period.begin) & (times < period.end)] = number
    return places
