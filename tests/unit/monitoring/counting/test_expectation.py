"""The calibration is the same function for single rows and batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.monitoring.counting.reference import Expectation

CURVE = (0.5, 0.6, 0.6, 0.9), (0.45, 0.55, 0.65, 0.95)


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [(0.4, 0.45), (0.5, 0.45), (0.55, 0.5), (0.75, 0.8), (0.9, 0.95), (1.0, 0.95)],
)
def test_the_curve_is_linear_between_the_points_and_constant_beyond(
    confidence: float, correct: float
) -> None:
    assert Expectation(*CURVE).sum(np.array([confidence])) == pytest.approx(correct)


@given(st.lists(st.floats(0, 1, width=32) | st.just(math.nan), min_size=3, max_size=50))
def test_the_expectation_of_a_batch_is_the_sum_of_its_rows(confidence: list[float]) -> None:
    expectation = Expectation(*CURVE)
    separate = sum(expectation.sum(np.array([each])) for each in confidence)
    assert expectation.sum(np.array(confidence)) == pytest.approx(separate)
