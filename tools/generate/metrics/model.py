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
        "rows answered, by the bin that a feature's value fell into: not cumulative, each there from 0 on",
    ),
    Metric(
        "ml_feature_reference_ratio",
        "gauge",
        (*_FEATURE, "bin"),
        "share of a bin at training, (count + ½) / (m + B/2)",
    ),
    Metric("ml_feature_reference_samples", "gauge", _FEATURE, "m, the rows counted at training"),
    Metric(
        "ml_feature_critical_value",
        "gauge",
        _FEATURE,
        "what X² exceeds by chance as seldom as `drift.significance` says, over all features together",
    ),
    Metric(
        "ml_expected_correct_total",
        "counter",
        _MODEL,
        "labels expected to be right: the sum of their calibrated probabilities",
    ),
    Metric(
        "ml_prediction_reference_ratio",
        "gauge",
        (*_MODEL, "label"),
        "share of a label among the answers for held-out rows, smoothed likewise",
    ),
    Metric("ml_prediction_reference_samples", "gauge", _MODEL, "the answers counted for that"),
    Metric(
        "ml_prediction_critical_value",
        "gauge",
        _MODEL,
        "as `ml_feature_critical_value`, for the labels given",
    ),
    Metric("ml_reference_accuracy", "gauge", _MODEL, "share of right labels on held-out rows"),
    Metric(
        "ml_outcomes_total",
        "counter",
        (*_MODEL, "correct"),
        "labels accepted at /feedback, by whether the answer was right",
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
        "sum of (probability of the label given - 1 if it was right, else 0)²",
    ),
    Metric("ml_label_lag_seconds", "histogram", _MODEL, "time from an answer to its label"),
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
        "arrival time of the label at which a detector found the last change",
    ),
    Metric(
        "tidegate_watch_error_ratio",
        "gauge",
        (*_MODEL, "detector"),
        "the error rate as a detector sees it",
    ),
    Metric(
        "tidegate_watch_error_z",
        "gauge",
        _MODEL,
        "standard deviations of the last labels' error rate above the held-out rows'",
    ),
)
