"""Counts rows in the bins of the reference: the cost of drift monitoring for each request.

The edges of all features are in one sorted array of complex numbers, (index of the feature) + i·(edge), which
numpy sorts by the real part first. So one binary search assigns a whole matrix to bins (4 µs for one row of
15 features, 65 µs for 256 rows). For a single row, Python's bisect over lists is twice as fast (2 µs),
because of the overhead of numpy's calls.

An interval is the range between two neighbouring edges; a bin of a feature has one or more intervals.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import inf
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.reference import Counts, FeatureReference, bin_starts

MAX_BISECT_ROWS: Final = 1
"""Batches with more rows are counted by numpy."""

Matrix = npt.NDArray[np.floating[Any]]


class BinCounter:
    """Counts the bins of every feature since the start. Not thread-safe.

    The matrix has a column for each reference, in which a category is its index in `categories`; these are
    empty for a number.
    """

    def __init__(
        self, references: Sequence[FeatureReference], categories: Sequence[Sequence[str]]
    ) -> None:
        pairs = list(zip(references, categories, strict=True))
        self._edges = [_edges(*pair) for pair in pairs]
        self._bins = [_bins(*pair) for pair in pairs]
        self._sizes = [len(reference.bins) for reference in references]
        self._row_counts = [[0] * (len(edges) + 1) for edges in self._edges]
        lengths = [len(edges) for edges in self._edges]
        keys = np.empty(sum(lengths), np.complex128)
        keys.real = np.repeat(np.arange(len(lengths)), lengths)
        keys.imag = np.concatenate([*self._edges, []])
        self._keys = keys
        self._columns = np.arange(len(lengths))
        # A feature has one more interval than edges.
        self._starts = np.cumsum([0, *(length + 1 for length in lengths)])
        self._batch_counts = np.zeros(self._starts[-1], np.int64)

    def add(self, matrix: Matrix) -> None:
        """Count rows; NaN is a missing value."""
        if len(matrix) <= MAX_BISECT_ROWS:
            for row in matrix.tolist():
                intervals = map(bisect_right, self._edges, row)
                for counts, interval in zip(self._row_counts, intervals, strict=True):
                    counts[interval] += 1
            return
        self._batch_counts += np.bincount(
            self._intervals(matrix).ravel(), minlength=len(self._batch_counts)
        )

    def bins(self, matrix: Matrix) -> Counts:
        """The index of the bin of each value; does not count them."""
        return np.concatenate(self._bins)[self._intervals(matrix)]

    def counts(self) -> list[Counts]:
        """The number of rows in each bin of each feature, in the order of the reference's bins."""
        found: list[Counts] = []
        for start, row_counts, bins, size in zip(
            self._starts, self._row_counts, self._bins, self._sizes, strict=False
        ):
            batch_counts = self._batch_counts[start : start + len(row_counts)]
            counts = np.zeros(size, np.int64)
            np.add.at(counts, bins, np.array(row_counts) + batch_counts)
            found.append(counts)
        return found

    def _intervals(self, matrix: Matrix) -> Counts:
        points = np.empty(matrix.shape, np.complex128)
        points.real = self._columns
        # The last edge of each feature is infinite; a missing value is mapped to it.
        points.imag = np.where(matrix == matrix, matrix, inf)  # noqa: PLR0124 (only NaN differs from itself)
        found: Counts = self._keys.searchsorted(points, side="right") + self._columns
        return found


def _edges(reference: FeatureReference, categories: Sequence[str]) -> list[float]:
    """The edges: the number of edges at or below a value is its interval; the last interval is for NaN."""
    if reference.kind == "category":
        return [*(float(code) for code in range(1, len(categories))), inf]
    return [*bin_starts(reference.edges), inf]


def _bins(reference: FeatureReference, categories: Sequence[str]) -> list[int]:
    """The bin of each interval."""
    size = len(reference.bins)
    if reference.kind != "category":
        return list(range(size))
    indices = {name: index for index, name in enumerate(reference.bins[:-2])}
    return [*(indices.get(name, size - 2) for name in categories), size - 1]
