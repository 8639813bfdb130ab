"""The replay's own record: which rows were answered when, how, and when their label was sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one request.

    Attributes:
        month: the position of their month.
        rows: their positions in it.
        at: when the answer came; in seconds since 1970.
        predicted: the labels given.
        confidence: the probability of each.
        ids: the prediction ids.
    """

    month: int
    rows: tuple[int, ...]
    at: float
    predicted: tuple[str, ...]
    confidence: tuple[float, ...]
    ids: tuple[str, ...]


@dataclass(slots=True)
class Record:
    """Everything that was sent, in its order.

    Attributes:
        batches: the answered requests.
        known: when each batch's labels were sent; as many as were.
        spans: begin and end of each month.
    """

    batches: list[Batch] = field(default_factory=list)
    known: list[float] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)

    def of(self, month: int) -> list[Batch]:
        """The batches of a month."""
        return [batch for batch in self.batches if batch.month == month]

    @property
    def answered(self) -> int:
        """Rows that were answered."""
        return sum(len(batch.rows) for batch in self.batches)

    @property
    def labelled(self) -> int:
        """Rows whose label was sent: batches get theirs in the order of their answers."""
        return sum(len(batch.rows) for batch in self.batches[: len(self.known)])

    def when_answered(self) -> Floats:
        """When each row was answered."""
        return _each(self.batches, [batch.at for batch in self.batches])

    def when_known(self) -> Floats:
        """When each row's label was sent; infinite where it was not."""
        unknown = [np.inf] * (len(self.batches) - len(self.known))
        return _each(self.batches, [*self.known, *unknown])

    def months(self) -> npt.NDArray[np.intp]:
        """The month of each row."""
        return _each(self.batches, [float(batch.month) for batch in self.batches]).astype(np.intp)


def _each(batches: Sequence[Batch], values: Sequence[float]) -> Floats:
    lengths = [len(batch.rows) for batch in batches]
    return np.repeat(np.array(values, np.float64), lengths)
