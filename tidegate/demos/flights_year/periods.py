"""The rows that the replay sends: a control period without drift, then months of real flights."""

from __future__ import annotations

from calendar import month_abbr
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.bin_counter import BinCounter, Matrix
from tidegate.monitoring.counting.reference import Counts, Reference
from tidegate.service.training import forest
from tidegate.service.training.flights import CLASSES, Flights

CONTROL: Final = "control"
FIRST_MONTH: Final = forest.WINDOW_MONTHS[-1] + 1
RAKING_ROUNDS: Final = 200
"""Enough for the shares to converge."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReplayPeriod:
    """The rows of a month, or of the `CONTROL` without drift, and the true label of each."""

    name: str
    matrix: Matrix
    actual: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.actual)


def replay_periods(
    flights: Flights,
    reference: Reference,
    *,
    months: int,
    rows: int,
    seed: int = 0,
) -> list[ReplayPeriod]:
    """The control and a number of months from March on, sampled with a seed.

    A month's rows are a sample of its flights, in their order; a month with fewer flights has fewer rows. The
    control's rows are held-out flights of the training window, which the model has not learned from. They are
    drawn with weights that give each feature its distribution at training, as the few held-out days have
    weather of their own.
    """
    random = np.random.default_rng(seed)
    held_out = np.flatnonzero(forest.split(flights).held_out)
    counter = BinCounter(reference.features, [each.categories for each in flights.features])
    weights = rake(counter.bins(flights.matrix[held_out]), _counts(reference))
    picked = [(CONTROL, random.choice(held_out, rows, p=weights))]
    for month in range(FIRST_MONTH, FIRST_MONTH + months):
        of = np.flatnonzero(flights.month == month)
        sample = np.sort(random.choice(of, min(rows, len(of)), replace=False))
        picked.append((month_abbr[month], sample))
    return [_period(flights, name, indices) for name, indices in picked]


def rake(bins: Counts, targets: Sequence[Counts]) -> Floats:
    """Weights of rows that give each feature its target distribution: iterative proportional fitting.

    Deming, W. E. and Stephan, F. F. (1940): On a least squares adjustment of a sampled frequency table.

    Args:
        bins: the bin of each row (first axis) of each feature (second axis).
        targets: the rows in each bin of each feature. A bin without a row to weight stays empty.

    Returns:
        A weight for each row; their sum is 1.
    """
    weights = np.full(len(bins), 1 / len(bins))
    for _ in range(RAKING_ROUNDS):
        for column, counts in zip(bins.T, targets, strict=True):
            share = np.bincount(column, weights, minlength=len(counts))
            target = counts / counts.sum()
            factor = np.divide(target, share, out=np.zeros(len(counts)), where=share > 0)
            # At least 0.001, so that a bin that is empty at training does not exclude its rows completely.
            weights = weights * np.maximum(factor[column], 1e-3)
            weights /= weights.sum()
    return weights


def _counts(reference: Reference) -> list[Counts]:
    return [np.array(feature.counts, np.int64) for feature in reference.features]


def _period(flights: Flights, name: str, indices: npt.NDArray[Any]) -> ReplayPeriod:
    late, on_time = CLASSES
    actual = tuple(late if is_late else on_time for is_late in flights.late[indices].tolist())
    return ReplayPeriod(name, flights.matrix[indices], actual)
