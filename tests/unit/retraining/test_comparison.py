"""Champion against challenger: known figures, intervals that hold, a verdict that is not luck."""

from __future__ import annotations

import numpy as np
import pytest

from tidegate.retraining.comparison import Difference, compare, is_better, measure
from tidegate.service.model.predictor import Prediction


def answers(first: list[float]) -> Prediction:
    probabilities = np.array([first, [1 - p for p in first]], dtype=np.float32).T
    return Prediction(probabilities.argmax(axis=1), probabilities)


def test_the_measures_are_those_of_the_textbook() -> None:
    found = measure(answers([0.9, 0.4, 0.6, 0.1]), np.array([0, 0, 1, 1]))
    assert found["auc"] == pytest.approx(3 / 4)  # of four pairs one is in the wrong order
    assert found["accuracy"] == pytest.approx(1 / 2)
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert found["calibration_error"] == pytest.approx((2 * 0.1 + 2 * 0.6) / 4, abs=1e-6)


def test_a_row_that_counts_twice_is_a_row_that_is_there_twice() -> None:
    truth = np.array([0, 0, 1, 1])
    found = measure(answers([0.9, 0.4, 0.6, 0.1]), truth, np.array([2.0, 1, 1, 1]))
    twice = measure(answers([0.9, 0.9, 0.4, 0.6, 0.1]), np.array([0, 0, 0, 1, 1]))
    for name in ("auc", "accuracy", "brier"):
        assert found[name] == pytest.approx(twice[name])


def test_three_classes_are_measured_each_against_the_rest() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]], dtype=np.float32)
    found = measure(Prediction(probabilities.argmax(axis=1), probabilities), np.array([0, 1, 2]))
    assert (found["auc"], found["accuracy"]) == (1.0, 1.0)
    assert found["brier"] == pytest.approx(0.04 + 2 * 0.01)


def drawn(seed: int, signal: float, rows: int = 3000) -> tuple[Prediction, Prediction, np.ndarray]:
    """Two models: one that knows nothing, one that knows `signal` of the truth."""
    random = np.random.default_rng(seed)
    truth = random.integers(2, size=rows)
    noise = random.normal(size=(2, rows))
    blind = 0.5 + 0.05 * noise[0]
    knows = 0.5 + 0.05 * noise[1] + signal * (0.5 - truth)
    return answers(blind.tolist()), answers(knows.tolist()), truth


def test_a_model_that_knows_more_is_better_in_each_measure_of_knowledge() -> None:
    champion, challenger, truth = drawn(1, 0.2)
    blocks = np.arange(len(truth)) // 60
    differences = compare(champion, challenger, truth, blocks, resamples=60)
    verdicts = {one.measure: one.verdict for one in differences}
    assert verdicts["auc"] == verdicts["accuracy"] == verdicts["brier"] == "better"
    assert is_better(differences)
    assert not is_better(compare(challenger, champion, truth, blocks, resamples=60))


def test_two_models_that_know_nothing_are_seldom_told_apart() -> None:
    found = 0
    for seed in range(20):
        champion, challenger, truth = drawn(seed, 0.0, 600)
        blocks = np.arange(len(truth)) // 12
        found += is_better(compare(champion, challenger, truth, blocks, resamples=60))
    assert found <= 3  # 2.5 % each would be 0.5


def test_a_draw_without_a_class_is_left_out_and_nothing_is_even() -> None:
    champion, challenger, _ = drawn(1, 0.2, 4)
    differences = compare(
        champion, challenger, np.array([0, 1, 0, 1]), np.array([0, 0, 0, 0]), resamples=3
    )
    assert all(one.low == one.high for one in differences)
    nothing = Difference("brier", 0.2, 0.1, float("nan"), float("nan"))
    assert nothing.verdict == "even"


@pytest.mark.parametrize(
    ("measure", "low", "high", "verdict"),
    [
        ("auc", 0.01, 0.02, "better"),
        ("auc", -0.02, -0.01, "worse"),
        ("brier", -0.02, -0.01, "better"),
        ("brier", 0.01, 0.02, "worse"),
        ("calibration_error", -0.01, 0.01, "even"),
    ],
)
def test_the_whole_interval_decides(measure: str, low: float, high: float, verdict: str) -> None:
    assert Difference(measure, 0.5, 0.5, low, high).verdict == verdict
