"""The calibration is the same function for one row and for many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.drift.counting.confidence import Expectation
from tidegate.drift.counting.reference import Calibration

CURVE = Calibration(confidence=(0.5, 0.6, 0.6, 0.9), correct=(0.45, 0.55, 0.65, 0.95), samples=1000)


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [(0.4, 0.45), (0.5, 0.45), (0.55, 0.5), (0.75, 0.8), (0.9, 0.95), (1.0, 0.95)],
)
def test_straight_lines_between_the_points_and_level_beyond(
    confidence: float, correct: float
) -> None:
    assert Expectation(CURVE).correct(np.array([confidence])) == pytest.approx(correct)


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=50))
def test_a_batch_expects_what_its_rows_expect(confidence: list[float]) -> None:
    expectation = Expectation(CURVE)
    apart = sum(expectation.correct(np.array([each])) for each in confidence)
    assert expectation.correct(np.array(confidence)) == pytest.approx(apart)
