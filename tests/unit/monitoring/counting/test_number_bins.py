"""The bins of a regressor's predictions have their ranges as names."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate.monitoring.counting.number_bins import predicted_value_bins


@pytest.mark.parametrize(
    ("values", "bins"),
    [
        ([0.0] * 8 + [0.5, 1.5], ("0", "0 to 0.5", "0.5 to 1.5")),
        ([2.5], ("2.5",)),
        ([12_345_678.0] * 3 + [12_345_679.0], ("12345678", "12345678 to 12345679")),
        ([0.1, 0.1 + 2**-56], ("0.1",)),
        ([np.nan], ()),
        ([np.inf, -np.inf], ()),
    ],
)
def test_a_bin_is_named_by_its_range_or_by_the_value_that_many_rows_share(
    values: list[float], bins: tuple[str, ...]
) -> None:
    found = predicted_value_bins(np.array(values))
    assert found.bins == ("under", *bins, "over", "missing")


@example([sys.float_info.max])
@example([-sys.float_info.max, sys.float_info.max] * 5)
@given(st.lists(st.floats(width=64), min_size=1, max_size=60))
def test_each_prediction_is_in_one_bin_and_each_bin_has_its_own_name(values: list[float]) -> None:
    found = predicted_value_bins(np.array(values))
    counts = dict(zip(found.bins, found.counts, strict=True))
    assert len(counts) == len(found.counts)
    assert sum(found.counts) == len(values)
    assert counts["under"] == counts["over"] == 0
    assert counts["missing"] == sum(not np.isfinite(value) for value in values)
