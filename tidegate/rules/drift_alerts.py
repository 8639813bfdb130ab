"""The alerts about a model: its data have drifted, or its accuracy has dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from tidegate.rules.alert import Alert, Severity
from tidegate.rules.drift_rules import DISTRIBUTIONS, FAST, WINDOWS, Distribution, fresh
from tidegate.rules.promql import duration, number
from tidegate.settings import Drift

# The shortest window has too few rows to tell a small drift from chance: it has no warning.
TIERS: Final[dict[Literal["Warning", "Critical"], tuple[str, ...]]] = {
    "Warning": tuple(window for window in WINDOWS if window != FAST),
    "Critical": WINDOWS,
}
# How long the alert fires after a detector found a change.
NEWS_SECONDS: Final = 300
_OF: Final = "of {{ $labels.model }} {{ $labels.version }}"


def drift_alerts(drift: Drift) -> tuple[Alert, ...]:
    """Every alert about a model, for these thresholds."""
    return (
        *(alert for each in DISTRIBUTIONS for alert in _distribution(each, drift)),
        _dataset(drift),
        *_accuracy(drift),
        *_labels(drift),
        _watch(),
    )


def _distribution(of: Distribution, drift: Drift) -> Iterator[Alert]:
    subject = "Feature {{ $labels.feature }}" if of.what == "feature" else "What the model answers"
    for tier, windows in TIERS.items():
        severity: Severity = "critical" if tier == "Critical" else "warning"
        limit = number(drift.psi_critical if tier == "Critical" else drift.psi_warning)
        yield Alert(
            f"Drift{of.what.capitalize()}{tier}",
            _any(f"model:{of.what}_drift", windows, f"> {limit}"),
            drift.hold_seconds,
            severity,
            f"{subject} {_OF} has drifted"
            if of.what == "feature"
            else f"{subject} ({{{{ $labels.model }}}} {{{{ $labels.version }}}}) has drifted",
            f"Its distribution over {_either(windows)} differs from that at training: the population "
            f"stability index is above {limit}, which is statistically significant.",
        )


def _dataset(drift: Drift) -> Alert:
    share = number(drift.dataset_share * 100)
    return Alert(
        "DriftDataset",
        _any("model:drifted_features_ratio", TIERS["Warning"], f">= {number(drift.dataset_share)}"),
        drift.hold_seconds,
        "critical",
        f"The data {_OF} have drifted",
        f"{share} % of the features or more have drifted: the model predicts on data that it was not "
        "trained on.",
    )


def _accuracy(drift: Drift) -> Iterator[Alert]:
    yield Alert(
        "ModelExpectedAccuracyLow",
        f"max by (model, version) (ml_reference_accuracy)\n- {fresh('model:accuracy_expected', '1h')}\n"
        f"> {number(drift.accuracy_drop_warning)}\n"
        f"and {fresh('model:prediction_samples', '1h')} >= {drift.samples}",
        drift.hold_seconds,
        "warning",
        f"The expected accuracy {_OF} has dropped",
        "According to its calibrated confidence over 1h, the model is less accurate than on held-out rows, "
        "although no feature has drifted.",
    )
    for tier, drop in (
        ("Warning", drift.accuracy_drop_warning),
        ("Critical", drift.accuracy_drop_critical),
    ):
        yield Alert(
            f"ModelAccuracy{tier}",
            f"{fresh('model:accuracy_drop', '1d')} > {number(drop)}\n"
            f"and {fresh('model:error_z', '1d')} > {number(drift.error_z)}",
            drift.hold_seconds,
            "critical" if tier == "Critical" else "warning",
            f"The accuracy {_OF} has dropped",
            f"According to the labels of the last day, its accuracy is more than {number(drop * 100)} points "
            f"below that on held-out rows, which is statistically significant (z > {number(drift.error_z)}).",
        )
    recent = "\nor ".join(
        f"{fresh('model:error_z', window)} > {number(drift.error_z)}" for window in ("5m", "1h")
    )
    yield Alert(
        "ModelConceptDrift",
        recent,
        0,
        "critical",
        f"The error rate {_OF} has risen",
        f"Among the last labels (5m or 1h, {drift.outcomes} at least) it is more than "
        f"{number(drift.error_z)} standard deviations above that on held-out rows: what the model has "
        "learned may no longer hold.",
    )
    yield Alert(
        "ModelErrorRateChanged",
        # A timestamp and not a counter: after a restart the watcher reads the last day again and finds the
        # same changes once more.
        "time() - max by (model, version, detector) (tidegate_watch_change_timestamp_seconds) < "
        f"{NEWS_SECONDS}",
        0,
        "warning",
        f"The error rate {_OF} has changed, says {{{{ $labels.detector }}}}",
        "A detector that reads the labels in their order has found that the error rate changed.",
    )


def _labels(drift: Drift) -> Iterator[Alert]:
    yield Alert(
        "ModelLabelsLate",
        f"{fresh('model:label_lag_seconds_p50', '1h')} > {number(drift.label_lag_seconds)}",
        600,
        "warning",
        f"Labels {_OF} arrive late",
        f"Half of them arrive more than {duration(drift.label_lag_seconds)} after their prediction: the "
        "measured accuracy is that old.",
    )
    yield Alert(
        "ModelFeedbackForged",
        'sum by (model, version) (increase(ml_feedback_refused_total{reason="forged"}[5m])) > 0',
        0,
        "warning",
        "Feedback was sent for predictions that {{ $labels.model }} never made",
        "Prediction ids at /feedback have an invalid signature: they were changed, or signed with "
        "another key.",
    )


def _watch() -> Alert:
    return Alert(
        "WatchDown",
        'up{job="watch"} == 0',
        60,
        "warning",
        "The watcher of labels does not answer",
        "Its metrics cannot be read at {{ $labels.instance }}: no detector looks at the labels that arrive.",
    )


def _any(series: str, windows: tuple[str, ...], condition: str) -> str:
    return "\nor ".join(f"{fresh(series, window)} {condition}" for window in windows)


def _either(windows: tuple[str, ...]) -> str:
    return f"{', '.join(windows[:-1])} or {windows[-1]}"
