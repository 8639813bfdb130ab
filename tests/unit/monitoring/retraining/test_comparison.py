"""The measures, their confidence intervals, and the verdict."""

from __future__ import annotations

import numpy as np
import pytest

from tidegate.monitoring.retraining.comparison import Difference, compare, is_better, measure
from tidegate.service.model.predictions import Classification


def predictions(first: list[float]) -> Classification:
    """Predictions of a model of two classes, from the probability of the first class."""
    probabilities = np.array([first, [1 - p for p in first]], dtype=np.float32).T
    return Classification(probabilities.argmax(axis=1), probabilities)


def test_the_measures_follow_their_definitions() -> None:
    found = measure(predictions([0.9, 0.4, 0.6, 0.1]), np.array([0, 0, 1, 1]))
    assert found["auc"] == pytest.approx(3 / 4)  # one of four pairs is in the wrong order
    assert found["accuracy"] == pytest.approx(1 / 2)
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert found["calibration_error"] == pytest.approx((2 * 0.1 + 2 * 0.6) / 4, abs=1e-6)


def test_a_weight_of_two_equals_two_copies_of_the_row() -> None:
    truth = np.array([0, 0, 1, 1])
    found = measure(predictions([0.9, 0.4, 0.6, 0.1]), truth, np.array([2.0, 1, 1, 1]))
    twice = measure(predictions([0.9, 0.9, 0.4, 0.6, 0.1]), np.array([0, 0, 0, 1, 1]))
    for name in ("auc", "accuracy", "brier"):
        assert found[name] == pytest.approx(twice[name])


def test_three_classes_are_measured_one_against_the_rest() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]], dtype=np.float32)
    found = measure(
        Classification(probabilities.argmax(axis=1), probabilities), np.array([0, 1, 2])
    )
    assert (found["auc"], found["accuracy"]) == (1.0, 1.0)
    assert found["brier"] == pytest.approx(0.04 + 2 * 0.01)


def two_models(
    seed: int, signal: float, rows: int = 3000
) -> tuple[Classification, Classification, np.ndarray]:
    """Predictions of a model without skill, of one with `signal` in its probabilities, and the truth."""
    random = np.random.default_rng(seed)
    truth = random.integers(2, size=rows)
    noise = random.normal(size=(2, rows))
    unskilled = 0.5 + 0.05 * noise[0]
    skilled = 0.5 + 0.05 * noise[1] + signal * (0.5 - truth)
    return predictions(unskilled.tolist()), predictions(skilled.tolist()), truth


def test_a_model_with_skill_is_better_in_each_measure_of_skill() -> None:
    current, candidate, truth = two_models(1, 0.2)
    blocks = np.arange(len(truth)) // 60
    differences = compare(current, candidate, truth, blocks, resamples=60)
    verdicts = {difference.measure: difference.verdict for difference in differences}
    assert verdicts["auc"] == verdicts["accuracy"] == verdicts["brier"] == "better"
    assert is_better(differences)
    assert not is_better(compare(candidate, current, truth, blocks, resamples=60))


def test_of_two_models_without_skill_one_is_rarely_found_better() -> None:
    found = 0
    for seed in range(5):
        current, candidate, truth = two_models(seed, 0.0, 600)
        blocks = np.arange(len(truth)) // 12
        found += is_better(compare(current, candidate, truth, blocks, resamples=60))
    assert found <= 1  # 2.5 % of 5 is 0.1


def test_a_resample_without_a_class_is_skipped_and_an_undefined_interval_is_even() -> None:
    current, candidate, _ = two_models(1, 0.2, 4)
    differences = compare(
        current, candidate, np.array([0, 1, 0, 1]), np.array([0, 0, 0, 0]), resamples=3
    )
    assert all(difference.low == difference.high for difference in differences)
    undefined = Difference("brier", 0.2, 0.1, float("nan"), float("nan"))
    assert undefined.verdict == "even"


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
def test_the_verdict_needs_an_interval_that_excludes_zero(
    measure: str, low: float, high: float, verdict: str
) -> None:
    assert Difference(measure, 0.5, 0.5, low, high).verdict == verdict
