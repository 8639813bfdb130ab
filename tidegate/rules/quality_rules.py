"""The recording rules about the accuracy of a model: expected, and measured by labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.rules.drift_rules import INTERVALS, JOB, MODEL, counted, fresh
from tidegate.rules.promql import number, present
from tidegate.rules.recording import Group, Recording
from tidegate.settings import Drift

WINDOWS: Final = ("5m", "1h", "1d")
# Recorded series, the counters that they are the growth of, their labels, and their meaning.
COUNTED: Final = (
    ("outcomes", "ml_outcomes_total", f"{MODEL}, correct", "labels by whether the model was right"),
    (
        "outcome_labels",
        "ml_outcome_labels_total",
        f"{MODEL}, predicted, actual",
        "labels by what was predicted and what was true",
    ),
    (
        "outcome_squared_error",
        "ml_outcome_squared_error_total",
        MODEL,
        "sum of (probability - right)² of labelled rows",
    ),
    (
        "expected_correct",
        "ml_expected_correct_total",
        MODEL,
        "rows whose label is expected to be right",
    ),
)


def quality_groups(drift: Drift) -> tuple[Group, ...]:
    """Every recorded series about accuracy, for these thresholds."""
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
        present(f"{right}\n/ {outcomes}"),
        f"share of right labels among those known, over {window}",
    )
    samples = fresh("model:prediction_samples", window)
    # Does not detect concept drift, and is wrong where the data differ from those of the calibration.
    yield Recording(
        f"model:accuracy_expected:{window}",
        f"{present(f'model:expected_correct:{window} / {samples}')}\n"
        f"unless max by ({MODEL}) ({fresh('model:feature_psi', window)}) >= "
        f"{number(drift.psi_warning)}",
        f"share of labels expected to be right, over {window}; missing where a feature's PSI is "
        f"{number(drift.psi_warning)} or more",
    )
    held_out = f"max by ({MODEL}) (ml_reference_accuracy{JOB})"
    yield Recording(
        f"model:accuracy_drop:{window}",
        f"{held_out}\n- model:accuracy_realised:{window}\nand {outcomes} >= {drift.outcomes}",
        f"by how much accuracy is below the held-out rows', over {window}; missing below "
        f"{drift.outcomes} labels",
    )
    yield Recording(
        f"model:error_z:{window}",
        f"model:accuracy_drop:{window}\n/ sqrt({held_out} * (1 - {held_out}) / {outcomes})",
        f"the same in standard deviations, over {window}",
    )
    yield Recording(
        f"model:brier:{window}",
        present(f"model:outcome_squared_error:{window} / {outcomes}"),
        f"mean of (probability - right)² of the label given, over {window}; 0 is best",
    )
    for name, side, of in (("precision", "predicted", "given"), ("recall", "actual", "true")):
        yield Recording(
            f"model:{name}:{window}",
            present(_share_of_right(window, side)),
            f"share of right ones among the rows whose {of} label it is, over {window}",
        )
    if window == "1h":
        yield Recording(
            "model:label_lag_seconds_p50:1h",
            present(
                f"histogram_quantile(\n  0.5,\n"
                f"  sum by ({MODEL}, le) (increase(ml_label_lag_seconds_bucket{JOB}[1h]))\n)"
            ),
            "median time from a prediction to its label, in seconds, over 1h",
        )


def _share_of_right(window: str, side: str) -> str:
    """For each label, the rows on the diagonal over all rows with it on one side."""
    labels = f"model:outcome_labels:{window}"
    # PromQL cannot compare two labels: the diagonal is where joining them by hand finds a pair.
    diagonal = (
        f'label_replace({labels}, "label", "$1", "predicted", "(.*)")\n'
        f"and on ({MODEL}, predicted, actual, label)\n"
        f'label_replace({labels}, "label", "$1", "actual", "(.*)")'
    )
    whole = f'label_replace({labels}, "label", "$1", "{side}", "(.*)")'
    return f"sum by ({MODEL}, label) (\n{diagonal}\n)\n/ sum by ({MODEL}, label) (\n{whole}\n)"
