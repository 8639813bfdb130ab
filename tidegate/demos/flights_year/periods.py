"""What is replayed: a control without drift, then months of real flights."""

from __future__ import annotations

from calendar import month_abbr
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.drift.counting.bin_counter import BinCounter, Matrix
from tidegate.drift.counting.reference import Counts, Reference
from tidegate.service.training import forest
from tidegate.service.training.flights import CLASSES, Flights

CONTROL: Final = "control"
FIRST: Final = forest.WINDOW_MONTHS[-1] + 1
MONTHS: Final = 13 - FIRST
ROUNDS: Final = 200
"""Of raking: by then shares move no more."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Month:
    """Rows to be sent together, and what became of those flights.

    Attributes:
        name: of the month; `CONTROL` for the rows without drift.
        matrix: the rows.
        actual: the true label of each.
    """

    name: str
    matrix: Matrix
    actual: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.actual)


def months(
    flights: Flights,
    reference: Reference,
    *,
    count: int,
    rows: int,
    seed: int = 0,
) -> list[Month]:
    """The control and so many months from March on, each with so many rows, drawn by the seed.

    A month's rows are a sample of its flights, in their order. The control's are held-out flights of the
    training window, which the model has not learned from, drawn with weights such that each feature is
    distributed as at training: the few held-out days have a weather of their own.
    """
    random = np.random.default_rng(seed)
    held_out = np.flatnonzero(forest.split(flights).held_out)
    counter = BinCounter(reference.features, [each.categories for each in flights.features])
    weights = rake(counter.bins(flights.matrix[held_out]), _counts(reference))
    picked = [(CONTROL, random.choice(held_out, rows, p=weights))]
    for number in range(FIRST, FIRST + count):
        of = np.flatnonzero(flights.month == number)
        picked.append(
            (month_abbr[number], np.sort(random.choice(of, min(rows, len(of)), replace=False)))
        )
    return [_month(flights, name, places) for name, places in picked]


def rake(bins: Counts, wanted: Sequence[Counts]) -> Floats:
    """Weights of rows that give each feature its wanted distribution: iterative proportional fitting.

    Deming, W. E. and Stephan, F. F. (1940): On a least squares adjustment of a sampled frequency table.

    Args:
        bins: the bin of each row (first axis) of each feature (second).
        wanted: of each feature, how many rows are in each bin; where there is no row to be weighted, none
            will be.

    Returns:
        A weight a row; together 1.
    """
    weights = np.full(len(bins), 1 / len(bins))
    for _ in range(ROUNDS):
        for column, counts in zip(bins.T, wanted, strict=True):
            share = np.bincount(column, weights, minlength=len(counts))
            target = counts / counts.sum()
            factor = np.divide(target, share, out=np.zeros(len(counts)), where=share > 0)
            # A bin that training never filled keeps a little: no row is shut out for one feature alone.
            weights = weights * np.maximum(factor[column], 1e-3)
            weights /= weights.sum()
    return weights


def _counts(reference: Reference) -> list[Counts]:
    return [np.array(feature.counts, np.int64) for feature in reference.features]


def _month(flights: Flights, name: str, places: npt.NDArray[Any]) -> Month:
    late, on_time = CLASSES
    actual = tuple(late if one else on_time for one in flights.late[places].tolist())
    return Month(name, flights.matrix[places], actual)
