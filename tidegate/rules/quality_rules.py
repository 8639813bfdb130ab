"""The recording rules about the quality of a model: expected, and measured with labels.

A classifier has an accuracy; a regressor has errors, whose sums are in the unit of its target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tidegate.rules.drift_rules import JOB, MODEL, counted, fresh, now
from tidegate.rules.promql import indented, number, without_nan
from tidegate.rules.recording import Recording
from tidegate.settings import Drift

WINDOWS: Final = ("5m", "1h", "1d")
# Predictions without an interval are neither inside nor outside.
KNOWN: Final = '{inside!="unknown"}'
HELD_OUT_ACCURACY: Final = f"max by ({MODEL}) (ml_reference_accuracy{JOB})"
HELD_OUT_ERROR: Final = f"max by ({MODEL}) (ml_reference_absolute_error{JOB})"
HELD_OUT_DEVIATION: Final = f"max by ({MODEL}) (ml_reference_absolute_error_deviation{JOB})"
HELD_OUT_COVERAGE: Final = f"max by ({MODEL}) (ml_reference_coverage{JOB})"


@dataclass(frozen=True, slots=True)
class Task:
    """The recorded series about the quality of one kind of model."""

    # The name of a recorded series, the counter whose growth it is, its labels, and its description; the
    # first one is of the labels that have arrived.
    counted: tuple[tuple[str, str, str, str], ...]
    measure: str  # the name of the measure, of which there is a realised and an expected series
    realised: Callable[[str, str], str]  # of the series of the labels and the window
    realised_meaning: str
    expected: str  # the counter of what is expected, summed over predictions
    expected_meaning: str
    further: Callable[[str, str, Drift], Iterator[Recording]]  # the other series of a window

    def labels(self, window: str) -> str:
        """The number of labels in a window."""
        return f"sum by ({MODEL}) (model:{self.counted[0][0]}:{window})"


def quality_recordings(window: str, drift: Drift) -> Iterator[Recording]:
    """Return the recorded series about quality in a window; they use those about drift in it."""
    if window in WINDOWS:
        for task in TASKS:
            yield from _window(task, window, drift)


def _window(task: Task, window: str, drift: Drift) -> Iterator[Recording]:
    for what, counter, by, meaning in task.counted:
        series = f"model:{what}"
        expression = counted(counter, series, window, by)
        yield Recording(f"{series}:{window}", expression, f"{meaning}, over {window}")
    labels = task.labels(window)
    yield Recording(
        f"model:{task.measure}_realised:{window}",
        without_nan(task.realised(window, labels)),
        f"{task.realised_meaning}, over {window}",
    )
    # It does not detect concept drift, and is wrong if the data differ from the calibration data.
    yield Recording(
        f"model:{task.measure}_expected:{window}",
        f"{without_nan(f'model:{task.expected}:{window} / (model:prediction_samples:{window} > 0)')}\n"
        f"unless max by ({MODEL}) (model:feature_psi:{window}) >= {number(drift.psi_warning)}",
        f"{task.expected_meaning}, over {window}; missing if the PSI of a feature is "
        f"{number(drift.psi_warning)} or more",
    )
    yield from task.further(window, labels, drift)


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


def _accuracy(window: str, outcomes: str, drift: Drift) -> Iterator[Recording]:
    held_out = HELD_OUT_ACCURACY
    yield Recording(
        f"model:accuracy_drop:{window}",
        f"{held_out}\n- model:accuracy_realised:{window}\nand {outcomes} >= {drift.outcomes}",
        f"accuracy on held-out rows minus measured accuracy, over {window}; missing with fewer than "
        f"{drift.outcomes} labels",
    )
    yield Recording(
        f"model:error_z:{window}",
        f"model:accuracy_drop:{window}\n/ sqrt({held_out} * (1 - {held_out}) / {outcomes})",
        f"the same in standard deviations, over {window}",
    )
    yield Recording(
        f"model:brier:{window}",
        without_nan(f"model:outcome_squared_error:{window} / {outcomes}"),
        f"Brier score: mean of (probability - correct)² of the predicted label, over {window}; 0 is best",
    )
    for name, side in (("precision", "predicted"), ("recall", "actual")):
        yield Recording(
            f"model:{name}:{window}",
            without_nan(_correct_ratio(window, side)),
            f"{name}: fraction of correct predictions among the rows with this {side} label, over {window}",
        )
    if window == "1h":
        yield Recording(
            "model:label_lag_seconds_p50:1h",
            without_nan(
                f"histogram_quantile(\n  0.5,\n"
                f"  sum by ({MODEL}, le) (increase(ml_label_lag_seconds_bucket{JOB}[1h]))\n)"
            ),
            "median time from a prediction to its label, in seconds, over 1h",
        )


def _correct_ratio(window: str, side: str) -> str:
    """Return for each label the rows on the diagonal divided by all rows with the label on one side."""
    labels = f"model:outcome_labels:{window}"
    # PromQL cannot compare two labels of a series, so the diagonal is found by a join.
    diagonal = (
        f'label_replace({labels}, "label", "$1", "predicted", "(.*)")\n'
        f"and on ({MODEL}, predicted, actual, label)\n"
        f'label_replace({labels}, "label", "$1", "actual", "(.*)")'
    )
    whole = f'label_replace({labels}, "label", "$1", "{side}", "(.*)")'
    return f"sum by ({MODEL}, label) (\n{diagonal}\n)\n/ sum by ({MODEL}, label) (\n{whole}\n)"


def _errors(window: str, labels: str, drift: Drift) -> Iterator[Recording]:
    realised = f"model:absolute_error_realised:{window}"
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
        f"{_signed(f'{realised} / {HELD_OUT_ERROR} - 1')}\nand {labels} >= {drift.outcomes}",
        f"mean absolute error relative to that on held-out rows, minus 1, over {window}; missing with "
        f"fewer than {drift.outcomes} labels",
    )
    yield Recording(
        f"model:absolute_error_z:{window}",
        f"{_signed(_error_z(window, labels))}\nand {labels} >= {drift.outcomes}",
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


def _signed(expression: str) -> str:
    """Return the expression without NaN; unlike `without_nan`, with negative values."""
    return f"(\n{indented(expression)}\n) > -Inf"


CLASSIFICATION: Final = Task(
    counted=(
        (
            "outcomes",
            "ml_outcomes_total",
            f"{MODEL}, correct",
            "labels by whether the prediction was correct",
        ),
        (
            "outcome_labels",
            "ml_outcome_labels_total",
            f"{MODEL}, predicted, actual",
            "labels by predicted and actual class",
        ),
        (
            "outcome_squared_error",
            "ml_outcome_squared_error_total",
            MODEL,
            "sum of (probability - correct)² of labelled rows",
        ),
        (
            "expected_correct",
            "ml_expected_correct_total",
            MODEL,
            "expected number of correct predictions",
        ),
    ),
    measure="accuracy",
    realised=lambda window, labels: (
        f'sum by ({MODEL}) (model:outcomes:{window}{{correct="true"}})\n/ {labels}'
    ),
    realised_meaning="fraction of labelled predictions that were correct",
    expected="expected_correct",
    expected_meaning="expected fraction of correct predictions",
    further=_accuracy,
)
REGRESSION: Final = Task(
    counted=(
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
    ),
    measure="absolute_error",
    realised=lambda window, labels: f"model:absolute_error_sum:{window} / {labels}",
    realised_meaning="mean absolute error of labelled predictions",
    expected="expected_absolute_error_sum",
    expected_meaning="expected mean absolute error",
    further=_errors,
)
TASKS: Final = (CLASSIFICATION, REGRESSION)
