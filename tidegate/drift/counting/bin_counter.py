"""Counting rows into the reference's bins: what every request pays for being watched.

All features' edges stand in one sorted array of complex numbers, (number of the feature) + i·(edge), which
numpy sorts by the real part first. So one binary search puts a whole matrix into its bins (4 µs for one row
of 15 features, 65 µs for 256). For a single row, Python's own bisect over lists is twice as fast (2 µs), as
numpy's calls cost more than their work (bench/drift.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import inf, nextafter
from typing import Final

import numpy as np
import numpy.typing as npt

from tidegate.drift.counting.reference import Counts, FeatureReference

FEW_ROWS: Final = 1

Matrix = npt.NDArray[np.float32]


class BinCounter:
    """Counts of every feature's bins since the start. Not for several threads at once.

    Args:
        references: the features' bins, in the matrix's order.
        categories: the categories of each feature, whose positions stand for them in the matrix; empty for
            numbers.
    """

    def __init__(
        self, references: Sequence[FeatureReference], categories: Sequence[Sequence[str]]
    ) -> None:
        pairs = list(zip(references, categories, strict=True))
        self._edges = [_edges(*pair) for pair in pairs]
        self._bins = [_bins(*pair) for pair in pairs]
        self._sizes = [len(reference.bins) for reference in references]
        self._few = [[0] * (len(edges) + 1) for edges in self._edges]
        lengths = [len(edges) for edges in self._edges]
        keys = np.empty(sum(lengths), np.complex128)
        keys.real = np.repeat(np.arange(len(lengths)), lengths)
        keys.imag = np.concatenate([*self._edges, []])
        self._keys = keys
        self._columns = np.arange(len(lengths))
        # A feature has one place more than it has edges.
        self._starts = np.cumsum([0, *(length + 1 for length in lengths)])
        self._many = np.zeros(self._starts[-1], np.int64)

    def add(self, matrix: Matrix) -> None:
        """Count rows; NaN is a missing value."""
        if len(matrix) <= FEW_ROWS:
            for row in matrix.tolist():
                places = map(bisect_right, self._edges, row)
                for counts, place in zip(self._few, places, strict=True):
                    counts[place] += 1
            return
        self._many += np.bincount(self._places(matrix).ravel(), minlength=len(self._many))

    def bins(self, matrix: Matrix) -> Counts:
        """The bin of each value, as its position among the reference's; nothing is counted."""
        return np.concatenate(self._bins)[self._places(matrix)]

    def counts(self) -> list[Counts]:
        """Rows in each bin of each feature so far, in the order of the reference's bins."""
        found: list[Counts] = []
        for start, few, bins, size in zip(
            self._starts, self._few, self._bins, self._sizes, strict=False
        ):
            held = np.array(few) + self._many[start : start + len(few)]
            counts = np.zeros(size, np.int64)
            np.add.at(counts, bins, held)
            found.append(counts)
        return found

    def _places(self, matrix: Matrix) -> Counts:
        points = np.empty(matrix.shape, np.complex128)
        points.real = self._columns
        # The last edge of each feature is infinite: what is at it is missing.
        points.imag = np.where(matrix == matrix, matrix, inf)  # noqa: PLR0124 (NaN alone differs)
        found: Counts = self._keys.searchsorted(points, side="right") + self._columns
        return found


def _edges(reference: FeatureReference, categories: Sequence[str]) -> list[float]:
    """Edges so that the number of those at or below a value is its place, and the last place is NaN's."""
    if reference.kind == "category":
        return [*(float(code) for code in range(1, len(categories))), inf]
    if not reference.edges:
        return [-inf, inf]  # nothing was ever seen: all that is there is over
    *lower, last = reference.edges
    # The last bin holds its upper edge, so over begins with the next number after it.
    return [*lower, nextafter(last, inf), inf]


def _bins(reference: FeatureReference, categories: Sequence[str]) -> list[int]:
    """The bin of each place."""
    size = len(reference.bins)
    if reference.kind != "category":
        return list(range(size))
    position = {name: place for place, name in enumerate(reference.bins[:-2])}
    return [*(position.get(name, size - 2) for name in categories), size - 1]
