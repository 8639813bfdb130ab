"""Counters read from Prometheus: their increase over all replicas in each period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.tasks.periods import Period, period_indices
from tidegate.runtime import prometheus

MAX_POINTS: Final = 1000
"""Samples requested of each series. What a replica counts between its last one and its end is lost."""
RESOLUTION_SECONDS: Final = 0.001
"""Prometheus rounds times to milliseconds."""
TIMEOUT_SECONDS: Final = 30.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """The labels and samples of one series; times are in seconds since 1970."""

    labels: Mapping[str, str]
    times: Floats
    values: Floats

    @classmethod
    def of(cls, found: prometheus.Series) -> Series:
        """A series of a response of Prometheus."""
        pairs = np.array(found.samples, np.float64).reshape(-1, 2)
        return cls(found.labels, pairs[:, 0], pairs[:, 1])


def increase(series: Series, periods: Sequence[Period], first_sample: float) -> Floats:
    """The increase of a counter in each period.

    A counter that falls was reset to 0. One whose first sample is later than `first_sample`, the first one of
    the range, also started at 0: what a replica counts before its first scrape is included.
    """
    if not len(series.values):
        return np.zeros(len(periods))
    previous = np.concatenate([[0.0], series.values[:-1]])
    if series.times[0] <= first_sample + RESOLUTION_SECONDS:
        previous[0] = series.values[0]
    steps = np.where(series.values >= previous, series.values - previous, series.values)
    indices = period_indices(periods, series.times)
    inside = indices >= 0
    sums = np.bincount(indices[inside], steps[inside], minlength=len(periods))
    return sums.astype(np.float64)


def increases_by(
    found: Iterable[Series], periods: Sequence[Period], first_sample: float, *names: str
) -> dict[tuple[str, ...], Floats]:
    """The increase summed over all replicas, by the values of these labels."""
    sums: dict[tuple[str, ...], Floats] = {}
    for series in found:
        key = tuple(series.labels.get(name, "") for name in names)
        total = sums.setdefault(key, np.zeros(len(periods)))
        total += increase(series, periods, first_sample)
    return sums


async def query_range(
    client: prometheus.Prometheus, query: str, begin: float, end: float
) -> list[Series]:
    """The series of a range query, with about `MAX_POINTS` samples each.

    Raises:
        HttpError: the query fails.
    """
    step = max(1.0, (end - begin) / MAX_POINTS)
    return [Series.of(one) for one in await client.query_range(query, begin, end, step)]
