"""What the replay sent: which rows were answered when and how, and when their labels were sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one request, by their indices; times are in seconds since 1970."""

    period: int
    rows: tuple[int, ...]
    answered_at: float
    predicted: tuple[str, ...]
    prediction_ids: tuple[str, ...]


@dataclass(slots=True)
class ReplayRecord:
    """Everything that was sent, in order; times are in seconds since 1970.

    `labelled_at` says when the labels of the first batches were sent, `spans` when each period
    began and ended.
    """

    batches: list[Batch] = field(default_factory=list)
    labelled_at: list[float] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)

    def batches_of(self, period: int) -> list[Batch]:
        """The batches of a period."""
        return [batch for batch in self.batches if batch.period == period]

    @property
    def answered(self) -> int:
        """The number of answered rows."""
        return sum(len(batch.rows) for batch in self.batches)

    @property
    def labelled(self) -> int:
        """The number of rows whose label was sent: labels are sent in the order of the responses."""
        return sum(len(batch.rows) for batch in self.batches[: len(self.labelled_at)])

    def row_answer_times(self) -> Floats:
        """When each row was answered."""
        return _repeat(self.batches, [batch.answered_at for batch in self.batches])

    def row_periods(self) -> npt.NDArray[np.intp]:
        """The index of each row's period."""
        periods = [float(batch.period) for batch in self.batches]
        return _repeat(self.batches, periods).astype(np.intp)


def _repeat(batches: Sequence[Batch], values: Sequence[float]) -> Floats:
    """Each batch's value, once for each of its rows."""
    lengths = [len(batch.rows) for batch in batches]
    return np.repeat(np.array(values, np.float64), lengths)
