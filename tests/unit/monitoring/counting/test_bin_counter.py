"""Rows are counted in the reference's bins, with the same result for single rows and batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tidegate.monitoring.counting.bin_counter import BinCounter
from tidegate.monitoring.counting.reference import FeatureReference, count_numbers
from tidegate.service.artefacts.reference import build_reference
from tidegate.service.model.features import Feature

NUMBER = FeatureReference(
    name="x",
    kind="number",
    edges=(0.0, 1.0, 2.0),
    bins=("under", "0", "1", "over", "missing"),
    counts=(0, 5, 5, 0, 0),
)
NEVER_SEEN = FeatureReference(
    name="y", kind="number", bins=("under", "over", "missing"), counts=(0, 0, 10)
)
CITY = FeatureReference(
    name="city",
    kind="category",
    bins=("Bonn", "Paris", "other", "missing"),
    counts=(4, 4, 2, 0),
)
CITIES = ("Bonn", "Oslo", "Paris", "Rome")
THREE = ([NUMBER, NEVER_SEEN, CITY], [(), (), CITIES])
# Includes the float32 neighbours of the edges.
VALUES = st.sampled_from(
    [np.nan, -1e30, -1.0, 0.0, 0.5, 1.0, 1.9999999, 2.0, 2.0000002, 3.0, 3e38, -0.0]
)
CODES = st.sampled_from([np.nan, 0.0, 1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("value", "bin_"),
    [
        (-0.1, "under"),
        (0.0, "0"),
        (0.99, "0"),
        (1.0, "1"),
        (2.0, "1"),  # the last bin includes its upper edge
        (2.0000002, "over"),
        (3e38, "over"),
        (np.nan, "missing"),
    ],
)
@pytest.mark.parametrize("copies", [1, 10])
def test_a_number_is_counted_in_its_bin(value: float, bin_: str, copies: int) -> None:
    counter, column = BinCounter([NUMBER], [()]), np.full((copies, 1), value, "f4")
    counter.add(column)
    (counts,) = counter.counts()
    assert counts.tolist() == count_numbers(NUMBER.edges, column[:, 0]).tolist()
    assert dict(zip(NUMBER.bins, counts.tolist(), strict=True)) == {
        name: copies * (name == bin_) for name in NUMBER.bins
    }


@pytest.mark.parametrize(
    ("code", "bin_"), [(0, "Bonn"), (1, "other"), (2, "Paris"), (3, "other"), (np.nan, "missing")]
)
@pytest.mark.parametrize("copies", [1, 10])
def test_a_category_is_counted_in_its_bin_or_in_other(code: float, bin_: str, copies: int) -> None:
    counter = BinCounter([CITY], [CITIES])
    counter.add(np.full((copies, 1), code, "f4"))
    (counts,) = counter.counts()
    assert dict(zip(CITY.bins, counts.tolist(), strict=True)) == {
        name: copies * (name == bin_) for name in CITY.bins
    }


@given(
    st.lists(st.tuples(VALUES, VALUES, CODES), min_size=1, max_size=40),
    st.lists(st.integers(1, 7), min_size=1, max_size=5),
)
def test_batches_and_single_rows_have_the_same_counts(
    rows: list[tuple[float, float, float]], sizes: list[int]
) -> None:
    matrix = np.array(rows, "f4")
    together, separate = BinCounter(*THREE), BinCounter(*THREE)
    together.add(matrix)
    begin = number = 0
    while begin < len(matrix):
        size = sizes[number % len(sizes)]
        separate.add(matrix[begin : begin + size])
        begin, number = begin + size, number + 1
    for one, other in zip(together.counts(), separate.counts(), strict=True):
        assert one.tolist() == other.tolist()
        assert one.sum() == len(matrix)
    for bins, counts in zip(together.bins(matrix).T, together.counts(), strict=True):
        assert np.bincount(bins, minlength=len(counts)).tolist() == counts.tolist()


@given(arrays.arrays("f4", st.tuples(st.integers(1, 60), st.just(2))), st.booleans())
def test_training_rows_have_the_counts_of_the_reference(
    matrix: np.ndarray[tuple[int, int], np.dtype[np.float32]], single: bool
) -> None:
    matrix = np.where(np.isinf(matrix), np.float32(np.nan), matrix)
    features = [Feature(name=name, missing=True) for name in "ab"]
    reference = build_reference(features, matrix)
    counter = BinCounter(reference.features, [(), ()])
    for rows in np.split(matrix, len(matrix)) if single else [matrix]:
        counter.add(rows)
    for feature, counts, column in zip(reference.features, counter.counts(), matrix.T, strict=True):
        assert counts.tolist() == list(feature.counts)
        assert counts.tolist() == count_numbers(feature.edges, column).tolist()


def test_no_two_bins_have_the_same_label() -> None:
    duplicates = CITY.model_copy(update={"bins": ("missing", "other", "Rome", "other", "missing")})
    assert duplicates.labels == ("=missing", "=other", "Rome", "other", "missing")
    assert NUMBER.labels == NUMBER.bins
    assert NUMBER.ranges == ("under", "0 to 1", "1 to 2", "over", "missing")
    assert duplicates.ranges == duplicates.labels
