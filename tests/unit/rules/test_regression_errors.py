"""The alerts about the errors of a regressor: silent without a change for any tails, and sensitive to one.

The rules' arithmetic is that of bench/regression.py; promtool checks the same arithmetic in PromQL.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench.regression import RESIDUALS, STEP, HeldOut, episodes, evaluate, firing, simulate

RATES = (1.2, 3.0)  # labels per second; 1.2 is hardly enough for a window of five minutes


@pytest.mark.parametrize("per_second", RATES)
@pytest.mark.parametrize("name", RESIDUALS)
def test_72_hours_without_a_change_are_silent(name: str, per_second: float) -> None:
    for seed in range(3):
        values = simulate(name, hours=72, per_second=per_second, seed=seed)
        found = {alert: episodes(flags) for alert, flags in firing(values).items()}
        assert found == dict.fromkeys(found, 0)


def test_with_the_deviation_of_held_out_rows_alone_heavy_tails_would_fire() -> None:
    values = simulate("log-normal, sigma = 1.5", hours=72, per_second=3, seed=0)
    assert np.nanmax(values["5m"].plain_z) > 4.5
    assert np.nanmax(values["5m"].z) < 4.5


@pytest.mark.parametrize(
    ("name", "factor", "minutes"),
    [
        ("normal", 1.25, 10),
        ("Laplace", 1.5, 10),
        ("Student's t, 3 degrees of freedom", 1.5, 10),
        ("log-normal, sigma = 1.5", 2.0, 60),
        ("Pareto, alpha = 2.2", 2.0, 60),
    ],
)
def test_larger_errors_fire(name: str, factor: float, minutes: float) -> None:
    for seed in range(3):
        values = simulate(name, hours=30, per_second=3, seed=seed, factor=factor, hours_before=2)
        fires = firing(values)
        begin, end = 2 * 3600 // STEP, int(2 * 3600 + minutes * 60) // STEP
        assert not fires["ModelErrorRisen"][:begin].any()
        assert fires["ModelErrorRisen"][begin:end].any()
        assert fires["ModelErrorWarning"][-1]
        assert fires["ModelCoverageLow"][-1]


def test_fewer_labels_than_the_minimum_have_no_value() -> None:
    held_out = HeldOut.of(np.random.default_rng(1).normal(size=1000))
    values = evaluate(np.full(299, 1e6), np.array([299, 0, 0]), held_out)
    assert all(np.isnan(each.z).all() for each in values.values())
    assert not any(flags.any() for flags in firing(values).values())
