"""A predicted value has the label of the bin that the reference counted it in."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate.monitoring.counting.number_bins import predicted_value_bins
from tidegate.monitoring.counting.reference import count_numbers
from tidegate.monitoring.counting.value_labels import ValueLabels


def test_without_bins_every_number_has_one_label() -> None:
    labels = ValueLabels(None)
    assert labels.names == ("any", "missing")
    assert labels.counts(np.array([1.0, -1e300, np.nan])) == [2, 1]


def test_bins_of_predictions_that_were_never_numbers_count_every_number_as_over() -> None:
    labels = ValueLabels(predicted_value_bins(np.array([np.nan])))
    assert labels.names == ("under", "over", "missing")
    assert labels.counts(np.array([-1e308, 0.0, 1e308, np.nan])) == [0, 3, 1]


@example([0.0], [np.inf, -np.inf, np.nan, 0.0])
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
    known = np.where(np.isfinite(values), values, np.nan)
    assert labels.counts(np.array(values)) == count_numbers(bins.edges, known).tolist()
