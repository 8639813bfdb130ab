"""The recording rules about the accuracy of a model: expected, and measured with labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.rules.drift_rules import INTERVALS, JOB, MODEL, counted, fresh
from tidegate.rules.promql import number, without_nan
from tidegate.rules.recording import Group, Recording
from tidegate.settings import Drift

WINDOWS: Final = ("5m", "1h", "1d")
# Name of the recorded series, the counter whose growth it is, its labels, and its description.
COUNTED: Final = (
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
)


def accuracy_groups(drift: Drift) -> tuple[Group, ...]:
    """Return the recorded series about accuracy."""
    return tuple(
        Group(f"model-quality-{window}", tuple(_window(window, drift)), INTERVALS[window])
        for window in WINDOWS
    )


def _window(window: str, drift: Drift) -> Iterator[Recording]:
    for what, counter, by, meaning in COUNTED:
        series = f"model:{what}"
        expression = counted(counter, series, window, by)
        yield Recording(f"{series}:{window}", expression, f"{meaning}, over {window}")
    outcomes = f"sum by ({MODEL}) (model:outcomes:{window})"
    right = f'sum by ({MODEL}) (model:outcomes:{window}{{correct="true"}})'
    yield Recording(
        f"model:accuracy_realised:{window}",
        without_nan(f"{right}\n/ {outcomes}"),
        f"fraction of labelled predictions that were correct, over {window}",
    )
    samples = fresh("model:prediction_samples", window)
    # It does not detect concept drift, and is wrong if the data differ from the calibration data.
    yield Recording(
        f"model:accuracy_expected:{window}",
        f"{without_nan(f'model:expected_correct:{window} / ({samples} > 0)')}\n"
        f"unless max by ({MODEL}) ({fresh('model:feature_psi', window)}) >= "
        f"{number(drift.psi_warning)}",
        f"expected fraction of correct predictions, over {window}; missing if the PSI of a feature is "
        f"{number(drift.psi_warning)} or more",
    )
    held_out = f"max by ({MODEL}) (ml_reference_accuracy{JOB})"
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
    for name, side, label in (
        ("precision", "predicted", "predicted"),
        ("recall", "actual", "actual"),
    ):
        yield Recording(
            f"model:{name}:{window}",
            without_nan(_correct_ratio(window, side)),
            f"{name}: fraction of correct predictions among the rows with this {label} label, over {window}",
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
