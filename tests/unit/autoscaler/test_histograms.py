"""Quantiles of histograms, checked against histogram_quantile of Prometheus 2.42."""

from __future__ import annotations

from itertools import accumulate

import pytest

from tidegate.autoscaler.histograms import histogram_quantile

EDGES = (1.0, 2.0, 4.0)


@pytest.mark.parametrize(
    ("share", "counts", "value"),
    [
        (0.5, [], None),
        (0.5, [0, 0, 0, 0], None),
        (0.5, [10, 0, 0, 0], 0.5),
        (0.5, [5, 5, 0, 0], 1.0),
        (0.5, [0, 10, 0, 0], 1.5),
        (0.9, [5, 5, 0, 0], 1.8),
        (0.95, [0, 0, 20, 0], 3.9),
        (0.99, [0, 0, 0, 7], 4.0),
        (1.0, [1, 0, 1, 0], 4.0),
        (0.0, [0, 5, 0, 0], 0.0),
    ],
)
def test_it_equals_that_of_prometheus(share: float, counts: list[int], value: float | None) -> None:
    found = histogram_quantile(share, EDGES, list(accumulate(counts)))
    assert found == (None if value is None else pytest.approx(value))
