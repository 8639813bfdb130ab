"""A higher error rate is found within some hundred labels, and a constant one is not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from river.drift import ADWIN

from tidegate.monitoring.concept.detectors import Adwin, Change, Detector, ZTest


def labels(rate: float, count: int, seed: int = 0) -> list[bool]:
    return [bool(wrong) for wrong in np.random.default_rng(seed).random(count) < rate]


def first(detector: Detector, outcomes: list[bool]) -> int | None:
    """The number of outcomes until the first finding."""
    for number, wrong in enumerate(outcomes, start=1):
        if detector.update(wrong) is not None:
            return number
    return None


@pytest.mark.parametrize("make", [lambda: ZTest(0.1), Adwin])
def test_a_doubled_error_rate_is_found_within_300_labels_in_the_median(make: type[Adwin]) -> None:
    delays = []
    for seed in range(21):
        detector = make()
        assert first(detector, labels(0.1, 2000, seed)) is None
        delays.append(first(detector, labels(0.2, 2000, seed + 100)) or math.inf)
    assert sorted(delays)[10] <= 300


@pytest.mark.parametrize("make", [lambda: ZTest(0.1), Adwin])
def test_72_hours_of_a_constant_error_rate_show_at_most_one_change_in_the_median(
    make: type[Adwin],
) -> None:
    found = []
    for seed in range(5):
        detector = make()
        outcomes = labels(0.1, 72 * 3600 * 3, seed)
        found.append(sum(detector.update(wrong) is not None for wrong in outcomes))
    assert sorted(found)[2] <= 1


def test_the_z_test_waits_until_it_has_enough_labels() -> None:
    detector = ZTest(0.1, window=300)
    assert math.isnan(detector.error_rate)
    for _ in range(299):
        assert detector.update(True) is None
        assert detector.z == 0
    change = detector.update(True)
    assert change == Change(0.1, 1.0)
    assert detector.z == pytest.approx(0.9 / math.sqrt(0.09 / 300))


def test_the_z_test_finds_each_rise_once() -> None:
    detector = ZTest(0.1, window=100)
    good, bad = [False] * 100, [True] * 100
    found = [detector.update(wrong) for wrong in (*good, *bad, *bad, *good, *bad)]
    assert len([each for each in found if each]) == 2


def test_the_z_test_finds_no_decrease() -> None:
    assert first(ZTest(0.5), labels(0.1, 2000)) is None


def test_one_error_of_a_model_without_errors_is_no_finding() -> None:
    assert first(ZTest(0.0), [*([False] * 400), True, *([False] * 400)]) is None


def test_adwin_also_finds_an_improvement() -> None:
    detector = Adwin()
    assert math.isnan(detector.error_rate)
    assert first(detector, labels(0.3, 1000)) is None
    changes = [change for wrong in labels(0.05, 1000, 1) if (change := detector.update(wrong))]
    assert changes[0].after < changes[0].before


@pytest.mark.parametrize("seed", range(5))
def test_adwin_finds_the_same_changes_as_rivers(seed: int) -> None:
    ours, rivers = Adwin(delta=0.05), ADWIN(delta=0.05)  # type: ignore[no-untyped-call]
    stream = [*labels(0.1, 1500, seed), *labels(0.3, 1500, seed + 50), *labels(0.02, 1500, seed)]
    for wrong in stream:
        found = ours.update(wrong) is not None
        rivers.update(wrong)  # type: ignore[no-untyped-call]
        assert found == rivers.drift_detected
        assert ours.error_rate == pytest.approx(rivers.estimation)
