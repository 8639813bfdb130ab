"""The buckets of the time to a label are fine enough for their median."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tidegate.monitoring.feedback.outcome_metrics import LAG_EDGES


@pytest.mark.parametrize("lag", [3, 12, 68, 122, 250, 1200, 5000, 40_000, 100_000, 500_000])
def test_the_median_of_equal_times_is_within_a_third_of_them(lag: float) -> None:
    low, high = next(each for each in pairwise((0.0, *LAG_EDGES)) if lag <= each[1])
    # As histogram_quantile interpolates in the bucket of the median.
    assert (low + high) / 2 == pytest.approx(lag, rel=1 / 3)
