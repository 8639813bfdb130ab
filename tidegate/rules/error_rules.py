"""The recording rules about the errors of a regressor: expected, and measured with labels.

All sums are over |error| and error², in the unit of the target.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.rules.drift_rules import INTERVALS, JOB, MODEL, counted, fresh, now
from tidegate.rules.promql import number, without_nan
from tidegate.rules.recording import Group, Recording
from tidegate.settings import Drift

WINDOWS: Final = ("5m", "1h", "1d")
# Name of the recorded series, the counter whose growth it is, its labels, and its description.
COUNTED: Final = (
    (
        "residuals",
        "ml_residuals_total",
        f"{MODEL}, inside",
        "labels of a regressor by whether the actual value was inside the predicted interval",
    ),
    (
        "absolute_error_sum",
        "ml_absolute_error_total",
        MODEL,
        "sum of |actual - predicted| of labelled rows",
    ),
    (
        "squared_error_sum",
        "ml_squared_error_total",
        MODEL,
        "sum of (actual - predicted)² of labelled rows",
    ),
    (
        "expected_absolute_error_sum",
        "ml_expected_absolute_error_total",
        MODEL,
        "sum of the expected absolute errors of predicted values",
    ),
)
# Predictions without an interval are neither inside nor outside.
KNOWN: Final = '{inside!="unknown"}'
HELD_OUT_ERROR: Final = f"max by ({MODEL}) (ml_reference_absolute_error{JOB})"
HELD_OUT_DEVIATION: Final = f"max by ({MODEL}) (ml_reference_absolute_error_deviation{JOB})"
HELD_OUT_COVERAGE: Final = f"max by ({MODEL}) (ml_reference_coverage{JOB})"


def error_groups(drift: Drift) -> tuple[Group, ...]:
    """Return the recorded series about the errors of regressors."""
    return tuple(
        Group(f"model-error-{window}", tuple(_window(window, drift)), INTERVALS[window])
        for window in WINDOWS
    )


def labels_of(window: str) -> str:
    """Return the number of labels in a window of predictions with an interval."""
    return f"sum by ({MODEL}) ({fresh('model:residuals', window, KNOWN)})"


def coverage_z(window: str) -> str:
    """Return by how many standard deviations the coverage is below that on held-out rows.

    Both the interval and its coverage on held-out rows are estimates from m rows, so their uncertainty
    counts twice.
    """
    realised, rows = (
        fresh("model:coverage_realised", window),
        now("model:prediction_reference_samples"),
    )
    return (
        f"({HELD_OUT_COVERAGE} - {realised})\n"
        f"/ sqrt({realised} * (1 - {realised}) * (1 / {labels_of(window)} + 2 / {rows}))"
    )


def _window(window: str, drift: Drift) -> Iterator[Recording]:
    for what, counter, by, meaning in COUNTED:
        series = f"model:{what}"
        yield Recording(
            f"{series}:{window}", counted(counter, series, window, by), f"{meaning}, over {window}"
        )
    labels = f"sum by ({MODEL}) (model:residuals:{window})"
    realised = f"model:absolute_error_realised:{window}"
    yield Recording(
        realised,
        without_nan(f"model:absolute_error_sum:{window} / {labels}"),
        f"mean absolute error of labelled predictions, over {window}",
    )
    samples = fresh("model:prediction_samples", window)
    # It does not detect concept drift, and is wrong if the data differ from the calibration data.
    yield Recording(
        f"model:absolute_error_expected:{window}",
        f"{without_nan(f'model:expected_absolute_error_sum:{window} / ({samples} > 0)')}\n"
        f"unless max by ({MODEL}) ({fresh('model:feature_psi', window)}) >= "
        f"{number(drift.psi_warning)}",
        f"expected mean absolute error, over {window}; missing if the PSI of a feature is "
        f"{number(drift.psi_warning)} or more",
    )
    yield Recording(
        f"model:rmse_realised:{window}",
        without_nan(f"sqrt(model:squared_error_sum:{window} / {labels})"),
        f"root mean squared error of labelled predictions, over {window}",
    )
    inside = f'sum by ({MODEL}) (model:residuals:{window}{{inside="true"}})'
    known = f"sum by ({MODEL}) (model:residuals:{window}{KNOWN})"
    yield Recording(
        f"model:coverage_realised:{window}",
        f"{without_nan(f'{inside} / {known}')}\nand {HELD_OUT_COVERAGE}",
        f"fraction of actual values inside the predicted interval, over {window}",
    )
    yield Recording(
        f"model:absolute_error_rise:{window}",
        f"{_without_nan(f'{realised} / {HELD_OUT_ERROR} - 1')}\nand {labels} >= {drift.outcomes}",
        f"mean absolute error relative to that on held-out rows, minus 1, over {window}; missing with "
        f"fewer than {drift.outcomes} labels",
    )
    yield Recording(
        f"model:absolute_error_z:{window}",
        f"{_without_nan(_error_z(window, labels))}\nand {labels} >= {drift.outcomes}",
        f"the difference of these mean absolute errors in standard deviations, over {window}; missing "
        "likewise",
    )


def _error_z(window: str, labels: str) -> str:
    """Return the rise of the mean absolute error in standard deviations.

    z = (ē - e₀) / (max(s, s₀) · √(1/n + 1/m)), where e₀ and s₀ are the mean and the standard deviation of
    |error| on m held-out rows, ē and s those of n labels. The 1/m is the uncertainty of e₀ itself. With the
    larger deviation, a few extreme errors raise the denominator as much as the numerator (a self-normalised
    sum), so heavy tails cause no false alarms, as they would with s₀ alone.
    """
    mean = f"model:absolute_error_realised:{window}"
    variance = f"(model:squared_error_sum:{window} / {labels} - {mean} ^ 2)"
    held_out = f"{HELD_OUT_DEVIATION} ^ 2"
    rows = now("model:prediction_reference_samples")
    return (
        f"({mean} - {HELD_OUT_ERROR})\n"
        f"/ sqrt(\n"
        f"  ({variance} > {held_out} or {held_out})\n"
        f"  * (1 / {labels} + 1 / {rows})\n"
        f")"
    )


def _without_nan(expression: str) -> str:
    """Return the expression without NaN; unlike `without_nan`, with negative values."""
    indented = "\n".join(f"  {line}" for line in expression.splitlines())
    return f"(\n{indented}\n) > -Inf"
