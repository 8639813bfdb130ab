"""A predicted value has the label of the bin that the reference counted it in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.monitoring.counting.number_bins import predicted_value_bins
from tidegate.monitoring.counting.value_labels import ValueLabels


def label_of(labels: ValueLabels, value: float) -> str:
    return labels.names[labels.counts(np.array([value])).index(1)]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (-1.0, "under"),
        (0.0, "0"),
        (0.1, "0 to 5"),
        (5.0, "5 to 10"),
        (10.0, "5 to 10"),
        (10.1, "over"),
        (np.nan, "missing"),
        (np.inf, "missing"),
        (-np.inf, "missing"),
    ],
)
def test_a_bin_includes_its_lower_edge_and_the_last_one_also_its_upper_edge(
    value: float, label: str
) -> None:
    labels = ValueLabels(predicted_value_bins(np.array([0.0] * 5 + [5.0] + [10.0])))
    assert label_of(labels, value) == label


def test_without_bins_every_number_has_one_label() -> None:
    labels = ValueLabels(None)
    assert labels.names == ("any", "missing")
    assert labels.counts(np.array([1.0, -1e300, np.nan])) == [2, 1]


def test_bins_of_predictions_that_were_never_numbers_count_every_number_as_over() -> None:
    labels = ValueLabels(predicted_value_bins(np.array([np.nan])))
    assert labels.names == ("under", "over", "missing")
    assert labels.counts(np.array([-1e308, 0.0, 1e308, np.nan])) == [0, 3, 1]


@given(
    st.lists(st.floats(), min_size=1, max_size=30), st.lists(st.floats(), min_size=1, max_size=30)
)
def test_counts_are_those_of_the_labels_and_of_the_reference(
    training: list[float], values: list[float]
) -> None:
    bins = predicted_value_bins(np.array(training))
    labels = ValueLabels(bins)
    assert labels.names == bins.labels
    assert labels.counts(np.array(training)) == list(bins.counts)
    counts = labels.counts(np.array(values))
    assert sum(counts) == len(values)
    found = [label_of(labels, value) for value in values]
    assert counts == [found.count(name) for name in labels.names]
