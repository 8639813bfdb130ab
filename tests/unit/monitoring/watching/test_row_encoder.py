"""Rows of any type are encoded for the bins of a reference; nothing in a row is an error."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.monitoring.counting.bin_counter import BinCounter
from tidegate.monitoring.counting.number_bins import number_bins
from tidegate.monitoring.counting.reference import FeatureReference
from tidegate.monitoring.tasks.answers import numbers
from tidegate.monitoring.watching.row_encoder import RowEncoder
from tidegate.monitoring.watching.table import read_table

AMOUNT = number_bins("amount", np.arange(101.0))
COUNTRY = FeatureReference(
    name="country",
    kind="category",
    bins=("DE", "FR", "7", "other", "missing"),
    counts=(5, 5, 1, 1, 0),
)
FEATURES = (AMOUNT, COUNTRY)


def encode(rows: object) -> tuple[list[list[float]], list[str]]:
    """The matrix and the warnings."""
    warnings: list[str] = []
    matrix = RowEncoder(FEATURES, warnings.append).encode(read_table(rows))
    return matrix.tolist(), warnings


ROWS: list[Any] = [
    [{"amount": 1.5, "country": "FR"}, {"amount": 2, "country": "DE"}],
    {"amount": [1.5, 2], "country": ["FR", "DE"]},
    {"amount": np.array([1.5, 2]), "country": np.array(["FR", "DE"])},
    pd.DataFrame({"country": ["FR", "DE"], "amount": [1.5, 2]}),
    pd.DataFrame({"country": pd.Categorical(["FR", "DE"]), "amount": [1.5, 2]}),
    np.array([[1.5, "FR"], [2.0, "DE"]], dtype=object),
    [[1.5, "FR"], [2.0, "DE"]],
]


@pytest.mark.parametrize("rows", ROWS, ids=range(len(ROWS)))
def test_rows_of_any_type_are_the_same_matrix(rows: object) -> None:
    assert encode(rows) == ([[1.5, 1.0], [2.0, 0.0]], [])


NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (True, 1.0),
        (np.float32(0.5), 0.5),
        (Decimal("0.5"), 0.5),
        (None, NAN),
        (pd.NA, NAN),
        (NAN, NAN),
        (float("inf"), NAN),
        ("1.5", NAN),
        (b"1", NAN),
        ([1], NAN),
        ({}, NAN),
        (10**400, NAN),
        (1j, NAN),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), NAN),
    ],
)
@pytest.mark.parametrize("beside", [0.5, "text"])
def test_a_value_that_is_no_number_is_missing(value: Any, number: float, beside: Any) -> None:
    found = numbers([value, beside])
    np.testing.assert_equal(found, [number, 0.5 if beside == 0.5 else NAN])


@pytest.mark.parametrize(
    "column",
    [
        np.array(["2026-01-01"], "datetime64[ns]"),
        np.array([1], "timedelta64[s]"),
        pd.Series([pd.NA], dtype="Float64"),
        pd.Series(["1.5"]),
    ],
)
def test_a_column_without_numbers_is_missing(column: Any) -> None:
    assert np.isnan(numbers(column)).all()


@pytest.mark.parametrize(
    ("value", "bin_"),
    [
        ("DE", "DE"),
        ("PL", "other"),
        ("other", "other"),
        ("", "other"),
        (7, "7"),
        (7.0, "7"),
        (np.int64(7), "7"),
        (8, "missing"),
        (True, "missing"),
        (None, "missing"),
        (NAN, "missing"),
        (pd.NA, "missing"),
        (["DE"], "missing"),
        ("\ud800", "other"),
    ],
)
def test_an_unknown_category_is_other_and_a_wrong_type_is_missing(value: Any, bin_: str) -> None:
    encoder = RowEncoder([COUNTRY], lambda _: None)
    counter = BinCounter([COUNTRY], encoder.categories)
    counter.add(encoder.encode(read_table([{"country": value}])))
    (counts,) = counter.counts()
    assert dict(zip(COUNTRY.bins, counts.tolist(), strict=True))[bin_] == 1


def test_unknown_and_missing_columns_are_reported_once() -> None:
    warnings: list[str] = []
    encoder = RowEncoder(FEATURES, warnings.append)
    for _ in range(3):
        matrix = encoder.encode(read_table([{"amount": 1.0, "colour": "red", "size": 3}]))
        np.testing.assert_equal(matrix, [[1.0, NAN]])
    assert warnings == [
        "columns of the rows differ from the reference: colour, size (unknown) is ignored",
        "columns of the rows differ from the reference: country (missing) counts as missing",
    ]


def test_rows_without_names_need_as_many_columns_as_features() -> None:
    with pytest.raises(
        ValueError, match=r"3 columns without names, .* 2 features: amount, country"
    ):
        encode(np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("late", "a list of dicts, .* got str"),
        (7, "a list of dicts, .* got int"),
        ([1.0, 2.0], r"got list of shape \(2,\)"),
        (np.zeros(3), r"got ndarray of shape \(3,\)"),
        ([[1.0], [1.0, 2.0]], "a list of dicts"),
        ({"amount": [1.0, 2.0], "country": ["DE"]}, "amount has 2 values and column country 1"),
        ({"amount": 1.0, "country": "DE"}, "column amount should be a list .* a list of one dict"),
    ],
)
def test_what_is_no_table_is_an_error(rows: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(rows)


values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
)


@given(
    st.lists(st.fixed_dictionaries({}, optional={"amount": values, "country": values, "x": values}))
)
def test_any_values_are_counted_once_per_row_and_feature(rows: list[dict[str, Any]]) -> None:
    encoder = RowEncoder(FEATURES, lambda _: None)
    counter = BinCounter(FEATURES, encoder.categories)
    if rows:
        counter.add(encoder.encode(read_table(rows)))
    assert [counts.sum() for counts in counter.counts()] == [len(rows), len(rows)]


@pytest.mark.parametrize("rows", [[], {}, {"amount": [], "country": []}, np.empty((0, 2))])
def test_no_rows_are_a_table(rows: object) -> None:
    assert encode(rows) == ([], [])
