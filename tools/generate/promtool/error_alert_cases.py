"""Tests of the alerts about the errors of a regressor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from tidegate.settings import Drift
from tools.generate.promtool.case_types import AlertCase, cases

MODEL: Final = {"model": "r", "version": "1"}
STEPS: Final = 80  # of 15 s: twenty minutes
# On held-out rows: the mean and the standard deviation of |error|, its coverage, and the number of rows.
ERROR: Final = 2.0
DEVIATION: Final = 1.5
COVERAGE: Final = 0.9
ROWS: Final = 4000
_OF: Final = 'job="model",model="r",version="1"'
_HELD_OUT: Final = {
    f"ml_reference_absolute_error{{{_OF}}}": f"{ERROR}x{STEPS}",
    f"ml_reference_absolute_error_deviation{{{_OF}}}": f"{DEVIATION}x{STEPS}",
    f"ml_reference_coverage{{{_OF}}}": f"{COVERAGE}x{STEPS}",
    f"ml_prediction_reference_samples{{{_OF}}}": f"{ROWS}x{STEPS}",
}
# A classifier beside the regressor, all of whose labels are as expected.
_CLASSIFIER: Final = 'job="model",model="c",version="1"'
_BESIDE: Final = {
    f"ml_reference_accuracy{{{_CLASSIFIER}}}": f"0.8x{STEPS}",
    f'ml_outcomes_total{{{_CLASSIFIER},correct="true"}}': f"0+8000x{STEPS}",
    f'ml_outcomes_total{{{_CLASSIFIER},correct="false"}}': f"0+2000x{STEPS}",
}


def error_alert_cases(drift: Drift) -> Iterator[AlertCase]:
    """Every test of an alert about the errors of a regressor, for these thresholds."""
    yield from _realised(drift)
    yield from _recent(drift)
    yield from _expected(drift)
    yield from _coverage(drift)


def eval_time(drift: Drift) -> str:
    """When an alert that holds for `drift.hold_seconds` is evaluated."""
    return f"{10 + math.ceil(drift.hold_seconds / 60)}m"


def grow(per_step: float) -> str:
    """A counter that grows by this per 15 s."""
    return f"0+{per_step:.9g}x{STEPS}"


def too_few(drift: Drift) -> float:
    """Labels per 15 s that are too few for every window."""
    return drift.outcomes / (2 * STEPS)


def _labels(
    per_step: float, error: float, deviation: float = DEVIATION, coverage: float = COVERAGE
) -> dict[str, str]:
    """Labels of a regressor, this number per 15 s, with this mean and standard deviation of |error|."""
    of = f'ml_residuals_total{{{_OF},inside="'
    return {
        **_HELD_OUT,
        f'{of}true"}}': grow(per_step * coverage),
        f'{of}false"}}': grow(per_step * (1 - coverage)),
        f"ml_absolute_error_total{{{_OF}}}": grow(per_step * error),
        f"ml_squared_error_total{{{_OF}}}": grow(per_step * (error**2 + deviation**2)),
    }


def _realised(drift: Drift) -> Iterator[AlertCase]:
    at, many = eval_time(drift), 1000.0 * drift.outcomes
    for tier, rise in (
        ("Warning", drift.error_rise_warning),
        ("Critical", drift.error_rise_critical),
    ):
        above, slight = ERROR * (1 + rise * 1.1), ERROR * (1 + rise * 0.9)
        # A rise of this fraction is significant up to this deviation, and far from significant at the other.
        root = math.sqrt(ROWS)
        narrow = min(DEVIATION, ERROR * rise * root / (2 * drift.error_z))
        wide = 2 * ERROR * rise * root / drift.error_z
        quiet = {f"ml_reference_absolute_error_deviation{{{_OF}}}": f"{narrow:.9g}x{STEPS}"}
        risen = {**_labels(many, above, narrow), **quiet, **_BESIDE}
        few = {**_labels(too_few(drift), above, narrow), **quiet}
        yield from cases(
            f"ModelError{tier}",
            at,
            ("the error has risen, beside a classifier", risen, True),
            ("the error has risen slightly", {**_labels(many, slight, narrow), **quiet}, False),
            ("there are too few labels", few, False),
            ("a few extreme errors made the rise", _labels(many, above, wide), False),
            labels=MODEL,
        )


def _recent(drift: Drift) -> Iterator[AlertCase]:
    # Twenty steps make 5 minutes, in which there are twice the labels needed.
    some = drift.outcomes / 10
    spread = DEVIATION * math.sqrt(1 / (2 * drift.outcomes) + 1 / ROWS)
    above, less = (ERROR + z * drift.error_z * spread for z in (1.2, 0.6))
    yield from cases(
        "ModelErrorRisen",
        "8m",
        ("the error has risen significantly", _labels(some, above), True),
        ("the error has risen, but not significantly", _labels(some, less), False),
        ("there are too few labels", _labels(too_few(drift), ERROR * 10), False),
        ("a few extreme errors made the rise", _labels(some, above, DEVIATION * 4), False),
        labels=MODEL,
    )


def _expected(drift: Drift) -> Iterator[AlertCase]:
    alert, at, rows = "ModelExpectedErrorHigh", eval_time(drift), 10.0 * drift.samples
    above = ERROR * (1 + drift.error_rise_warning * 1.5)

    def series(error: float) -> dict[str, str]:
        return {
            **_HELD_OUT,
            f"ml_expected_absolute_error_total{{{_OF}}}": grow(rows * error),
            f'tidegate_predictions_total{{{_OF},label="0"}}': grow(rows),
        }

    yield AlertCase(alert, "larger errors are expected", series(above), at, True, MODEL)
    yield AlertCase(alert, "the usual errors are expected", series(ERROR), at, fires=False)
    feature = f'{_OF},feature="x"'
    drifted = {
        f'ml_feature_observations_total{{{feature},bin="{name}"}}': grow(rows * share)
        for name, share in (("a", 0.99), ("b", 0.01))
    }
    drifted |= {
        f'ml_feature_reference_ratio{{{feature},bin="{name}"}}': f"{share}x{STEPS}"
        for name, share in (("a", 0.01), ("b", 0.99))
    }
    scenario = "a feature has drifted, so the expected error is not meaningful"
    yield AlertCase(alert, scenario, {**series(above), **drifted}, at, fires=False)


def _coverage(drift: Drift) -> Iterator[AlertCase]:
    alert, at, many = "ModelCoverageLow", eval_time(drift), 1000.0 * drift.outcomes
    drop = drift.accuracy_drop_warning
    # Enough held-out rows that the drop is significant.
    rows = {f"ml_prediction_reference_samples{{{_OF}}}": f"{1e7:.0f}x{STEPS}"}
    for below, scenario, fires in (
        (COVERAGE - min(drop * 1.2 + 0.001, 0.8), "too many values are outside", True),
        (COVERAGE - drop * 0.9, "slightly too many values are outside", False),
    ):
        series = {**_labels(many, ERROR, coverage=max(0.01, below)), **rows}
        yield AlertCase(alert, scenario, series, at, fires, MODEL if fires else {})
    few = {**_labels(too_few(drift), ERROR, coverage=0.1), **rows}
    yield AlertCase(alert, "there are too few labels", few, at, fires=False)
    chance = {
        **_labels(many, ERROR, coverage=max(0.01, COVERAGE - drop * 1.2)),
        f"ml_prediction_reference_samples{{{_OF}}}": f"100x{STEPS}",
    }
    scenario = "the interval was calibrated on too few rows to tell"
    yield AlertCase(alert, scenario, chance, at, fires=False)
