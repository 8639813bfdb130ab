"""The metrics of model monitoring."""

from __future__ import annotations

from typing import Final

from tidegate.rules.metric import Metric

_MODEL: Final = ("model", "version")
_FEATURE: Final = (*_MODEL, "feature")

MODEL: Final = (
    Metric(
        "ml_feature_observations_total",
        "counter",
        (*_FEATURE, "bin"),
        "predicted rows by the bin of a feature's value; bins are not cumulative and start at 0",
    ),
    Metric(
        "ml_feature_reference_ratio",
        "gauge",
        (*_FEATURE, "bin"),
        "fraction of a bin at training, (count + ½) / (m + B/2)",
    ),
    Metric("ml_feature_reference_samples", "gauge", _FEATURE, "m, the rows counted at training"),
    Metric(
        "ml_feature_critical_value",
        "gauge",
        _FEATURE,
        "critical value of X² at the level `drift.significance` over all features together",
    ),
    Metric(
        "ml_expected_correct_total",
        "counter",
        _MODEL,
        "expected number of correct predictions: the sum of their calibrated probabilities",
    ),
    Metric(
        "ml_prediction_reference_ratio",
        "gauge",
        (*_MODEL, "label"),
        "fraction of a label among the predictions for held-out rows, smoothed likewise",
    ),
    Metric("ml_prediction_reference_samples", "gauge", _MODEL, "number of those predictions"),
    Metric(
        "ml_prediction_critical_value",
        "gauge",
        _MODEL,
        "as `ml_feature_critical_value`, for predicted labels",
    ),
    Metric("ml_reference_accuracy", "gauge", _MODEL, "accuracy on held-out rows"),
    Metric(
        "ml_outcomes_total",
        "counter",
        (*_MODEL, "correct"),
        "labels accepted at /feedback, by whether the prediction was correct",
    ),
    Metric(
        "ml_outcome_labels_total",
        "counter",
        (*_MODEL, "predicted", "actual"),
        "labels accepted at /feedback, by the predicted and the actual label",
    ),
    Metric(
        "ml_outcome_squared_error_total",
        "counter",
        _MODEL,
        "sum of (probability of the predicted label - 1 if it was correct, else 0)²",
    ),
    Metric(
        "ml_residuals_total",
        "counter",
        (*_MODEL, "inside"),
        "actual values accepted for a regressor, by whether they were inside the predicted interval: "
        "true, false, or unknown if the version had none",
    ),
    Metric(
        "ml_absolute_error_total",
        "counter",
        _MODEL,
        "sum of |actual - predicted| of these, in the unit of the target",
    ),
    Metric("ml_squared_error_total", "counter", _MODEL, "sum of (actual - predicted)² of these"),
    Metric(
        "ml_expected_absolute_error_total",
        "counter",
        _MODEL,
        "expected absolute errors of a regressor's predicted values, summed",
    ),
    Metric(
        "ml_reference_absolute_error",
        "gauge",
        _MODEL,
        "mean absolute error of a regressor on held-out rows",
    ),
    Metric(
        "ml_reference_absolute_error_deviation",
        "gauge",
        _MODEL,
        "standard deviation of the absolute error on held-out rows",
    ),
    Metric(
        "ml_reference_coverage",
        "gauge",
        _MODEL,
        "fraction of held-out rows whose actual value is inside the predicted interval",
    ),
    Metric("ml_label_lag_seconds", "histogram", _MODEL, "time from a prediction to its label"),
    Metric(
        "ml_feedback_refused_total",
        "counter",
        (*_MODEL, "reason"),
        "labels rejected: malformed, forged, expired, replayed, foreign_version, unknown_label",
    ),
    Metric(
        "ml_shadow_predictions_total",
        "counter",
        (*_MODEL, "shadow", "agree"),
        "rows that the shadow scored, by whether it predicts the same label",
    ),
    Metric(
        "ml_shadow_dropped_total",
        "counter",
        (*_MODEL, "shadow", "reason"),
        "rows selected for the shadow that it did not score: `full` (its queue was full), "
        "`failed` (it raised an error)",
    ),
    Metric(
        "tidegate_rows_kept_total",
        "counter",
        ("written",),
        "rows selected for retraining, by whether their event was written",
    ),
)
WATCH: Final = (
    Metric(
        "tidegate_watch_outcomes_total",
        "counter",
        _MODEL,
        "labels read from the store, each once",
    ),
    Metric(
        "tidegate_watch_changes_total",
        "counter",
        (*_MODEL, "detector"),
        "changes of the error rate that a detector found",
    ),
    Metric(
        "tidegate_watch_change_timestamp_seconds",
        "gauge",
        (*_MODEL, "detector"),
        "arrival time of the label at which a detector found its last change",
    ),
    Metric(
        "tidegate_watch_error_ratio",
        "gauge",
        (*_MODEL, "detector"),
        "the error rate estimated by a detector",
    ),
    Metric(
        "tidegate_watch_error_z",
        "gauge",
        _MODEL,
        "difference of the latest labels' error rate from that on held-out rows, in standard deviations",
    ),
)
