"""`bench/live.py` judges sums: a run with no violation has nothing to be within 20 % of."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "live.py"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    # As a command it puts the project's root in the place of its own folder.
    monkeypatch.setattr(sys, "path", [str(BENCH.parent), *sys.path])
    spec = importlib.util.spec_from_file_location("bench_live", BENCH)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "live", "predicted", "verdict"),
    [
        ("spike", 90.0, 78.0, "holds"),
        ("spike", 90.0, 108.0, "holds"),
        ("spike", 90.0, 109.0, "**does not hold**"),
        ("spike", 90.0, 71.0, "**does not hold**"),
        ("steps", 0.0, 10.0, "not judged"),
        ("steps", 0.0, 0.0, "not judged"),
        # In sum of all there is nothing left that could judge it.
        ("all", 0.0, 10.0, "**does not hold**"),
        ("all", 0.0, 0.0, "holds"),
        ("all", 90.0, 88.0, "holds"),
    ],
)
def test_a_sum_is_held_against_what_was_live(
    bench: ModuleType, name: str, live: float, predicted: float, verdict: str
) -> None:
    same = (1000.0, 1000.0)
    sums = {
        name: {"violation_seconds": (live, predicted), "replica_seconds": same, "reversals": same}
    }
    first, second = bench.check(sums)
    assert first.startswith(f"{verdict}: violation-seconds of {name}, in sum: {live:.0f} live, ")
    assert second.startswith(f"holds: replica-seconds of {name}, in sum: 1000 live, 1000 predicted")


def test_the_spread_of_a_sum_is_that_of_one_run_of_each_prediction(bench: ModuleType) -> None:
    outcomes = [bench.Outcome(late, 1000.0, 0.0, 0.0) for late in [0.0] * 10 + [20.0] * 10]
    prediction = bench.Prediction(bench.SYSTEM, outcomes, [])
    assert bench.spread([prediction] * 3, "violation_seconds") == (0.0, 60.0)
    # By the binomial distribution, 9 in 10 sums of 100 are in 42 to 58 times 20.
    low, high = bench.spread([prediction] * 100, "violation_seconds")
    assert (low, high) == (pytest.approx(840, abs=20), pytest.approx(1160, abs=20))
    assert bench.spread([prediction] * 3, "replica_seconds") == (3000.0, 3000.0)
