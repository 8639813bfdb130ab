"""The alerts about the errors of a regressor: expected, measured with labels, and its intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.rules.alert import Alert
from tidegate.rules.drift_rules import fresh
from tidegate.rules.promql import number
from tidegate.rules.quality_rules import HELD_OUT_COVERAGE, HELD_OUT_ERROR, coverage_z, labels_of
from tidegate.settings import Drift

_OF: Final = "of {{ $labels.model }} {{ $labels.version }}"


def error_alerts(drift: Drift) -> Iterator[Alert]:
    """Return the alerts about the errors of regressors."""
    z = number(drift.error_z)
    for tier, rise in (
        ("Warning", drift.error_rise_warning),
        ("Critical", drift.error_rise_critical),
    ):
        yield Alert(
            f"ModelError{tier}",
            f"{fresh('model:absolute_error_rise', '1d')} > {number(rise)}\n"
            f"and {fresh('model:absolute_error_z', '1d')} > {z}",
            drift.hold_seconds,
            "critical" if tier == "Critical" else "warning",
            f"The error {_OF} has risen",
            "According to the labels of the last day, the mean absolute error is more than "
            f"{number(rise * 100)} % above that on held-out rows, and the difference is statistically "
            f"significant (z > {z}).",
        )
    recent = "\nor ".join(
        f"{fresh('model:absolute_error_z', window)} > {z}" for window in ("5m", "1h")
    )
    yield Alert(
        "ModelErrorRisen",
        recent,
        0,
        "critical",
        f"The error {_OF} has risen recently",
        f"Over 5m or 1h (at least {drift.outcomes} labels) the mean absolute error is more than {z} "
        "standard deviations above that on held-out rows. The relation between inputs and values may have "
        "changed.",
    )
    yield Alert(
        "ModelExpectedErrorHigh",
        f"{fresh('model:absolute_error_expected', '1h')} / {HELD_OUT_ERROR} - 1\n"
        f"> {number(drift.error_rise_warning)}\n"
        f"and {fresh('model:prediction_samples', '1h')} >= {drift.samples}",
        drift.hold_seconds,
        "warning",
        f"The expected error {_OF} has risen",
        "According to the values that it predicted over 1h, the mean absolute error of the model is more "
        f"than {number(drift.error_rise_warning * 100)} % above that on held-out rows, although no feature "
        "has drifted.",
    )
    yield Alert(
        "ModelCoverageLow",
        f"{HELD_OUT_COVERAGE} - {fresh('model:coverage_realised', '1d')} "
        f"> {number(drift.accuracy_drop_warning)}\n"
        f"and {labels_of('1d')} >= {drift.outcomes}\n"
        f"and {coverage_z('1d')} > {z}",
        drift.hold_seconds,
        "warning",
        f"The intervals {_OF} contain too few actual values",
        "According to the labels of the last day, the fraction of actual values inside the predicted "
        f"interval is more than {number(drift.accuracy_drop_warning * 100)} points below that on held-out "
        f"rows, and the difference is statistically significant (z > {z}).",
    )
