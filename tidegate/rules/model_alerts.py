"""The alerts about a model: drift of its inputs and predictions, its quality, and labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from tidegate.rules.alert import Alert, Severity
from tidegate.rules.drift_rules import DISTRIBUTIONS, FAST, WINDOWS, DriftSeries, fresh
from tidegate.rules.error_alerts import error_alerts
from tidegate.rules.promql import down, duration, number
from tidegate.settings import Drift

# The shortest window has too few rows to distinguish a small drift from chance, so it has no warning.
TIERS: Final[dict[Literal["Warning", "Critical"], tuple[str, ...]]] = {
    "Warning": tuple(window for window in WINDOWS if window != FAST),
    "Critical": WINDOWS,
}
# How long the alert fires after a detector has found a change.
CHANGE_ALERT_SECONDS: Final = 300
_OF: Final = "of {{ $labels.model }} {{ $labels.version }}"


def model_alerts(drift: Drift) -> tuple[Alert, ...]:
    """Return the alerts about a model."""
    return (
        *(alert for each in DISTRIBUTIONS for alert in _distribution(each, drift)),
        _dataset(drift),
        *_accuracy(drift),
        *error_alerts(drift),
        *_labels(drift),
        _watch(),
    )


def _distribution(of: DriftSeries, drift: Drift) -> Iterator[Alert]:
    subject = "Feature {{ $labels.feature }}" if of.name == "feature" else "The predictions"
    for tier, windows in TIERS.items():
        severity: Severity = "critical" if tier == "Critical" else "warning"
        limit = number(drift.psi_critical if tier == "Critical" else drift.psi_warning)
        yield Alert(
            f"Drift{of.name.capitalize()}{tier}",
            _any(f"model:{of.name}_drift", windows, f"> {limit}"),
            drift.hold_seconds,
            severity,
            f"{subject} {_OF} {'has' if of.name == 'feature' else 'have'} drifted",
            f"The distribution over {_either(windows)} differs from the one recorded at training: the "
            f"population stability index is above {limit}, and the difference is statistically "
            "significant.",
        )


def _dataset(drift: Drift) -> Alert:
    percent = number(drift.dataset_share * 100)
    return Alert(
        "DriftDataset",
        _any("model:drifted_features_ratio", TIERS["Warning"], f">= {number(drift.dataset_share)}"),
        drift.hold_seconds,
        "critical",
        f"The input data {_OF} have drifted",
        f"At least {percent} % of the features have drifted: the model was not trained on such data.",
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
        "According to its calibrated confidence over 1h, the accuracy of the model is more than "
        f"{number(drift.accuracy_drop_warning * 100)} points below that on held-out rows, although no "
        "feature has drifted.",
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
            f"According to the labels of the last day, the accuracy is more than {number(drop * 100)} points "
            "below that on held-out rows, and the difference is statistically significant "
            f"(z > {number(drift.error_z)}).",
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
        f"Over 5m or 1h (at least {drift.outcomes} labels) the error rate is more than "
        f"{number(drift.error_z)} standard deviations above that on held-out rows. The relation between "
        "inputs and labels may have changed.",
    )
    yield Alert(
        "ModelErrorRateChanged",
        # A timestamp and not a counter, because after a restart the watcher reads the last day again and
        # finds the same changes.
        "time() - max by (model, version, detector) (tidegate_watch_change_timestamp_seconds) < "
        f"{CHANGE_ALERT_SECONDS}",
        0,
        "warning",
        f"The error rate {_OF} has changed (detector {{{{ $labels.detector }}}})",
        "A detector that reads the labels in order has found a change of the error rate.",
    )


def _labels(drift: Drift) -> Iterator[Alert]:
    yield Alert(
        "ModelLabelsLate",
        f"{fresh('model:label_lag_seconds_p50', '1h')} > {number(drift.label_lag_seconds)}",
        600,
        "warning",
        f"Labels {_OF} arrive late",
        f"The median time from a prediction to its label exceeds {duration(drift.label_lag_seconds)}: the "
        "measured accuracy describes predictions of that age.",
    )
    yield Alert(
        "ModelFeedbackForged",
        'sum by (model, version) (increase(ml_feedback_refused_total{reason="forged"}[5m])) > 0',
        0,
        "warning",
        "Feedback for {{ $labels.model }} has forged prediction ids",
        "Prediction ids at /feedback have an invalid signature: they were changed, or signed with "
        "another key.",
    )


def _watch() -> Alert:
    return Alert(
        "WatchDown",
        down("watch"),
        60,
        "warning",
        "The label watcher does not respond",
        "Prometheus cannot scrape it, or finds none: no detector evaluates new labels.",
    )


def _any(series: str, windows: tuple[str, ...], condition: str) -> str:
    return "\nor ".join(f"{fresh(series, window)} {condition}" for window in windows)


def _either(windows: tuple[str, ...]) -> str:
    return f"{', '.join(windows[:-1])} or {windows[-1]}"
