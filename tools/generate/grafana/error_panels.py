"""The errors of regressors, a section of the dashboard "Model"."""

from __future__ import annotations

from typing import Final

from tidegate.rules.promql import number
from tidegate.rules.quality_rules import HELD_OUT_COVERAGE, HELD_OUT_ERROR
from tidegate.settings import Drift
from tools.generate.grafana.dashboard import PanelRow
from tools.generate.grafana.drift_panels import latest_model_series
from tools.generate.grafana.panels import time_series_panel
from tools.generate.grafana.queries import WINDOW, range_query

# Predictions of classifiers have the same series, so a panel about predicted values selects by the model.
_REGRESSOR: Final = f"\nand on (model, version) {HELD_OUT_ERROR}"
_VERSION: Final = "{{model}} {{version}}"
NO_VALUES: Final = "No actual values yet. Send them to POST /feedback."
NO_REGRESSOR: Final = "No regressor is served."


def error_rows(drift: Drift) -> list[PanelRow]:
    """The panels about predicted values, errors, their significance, intervals, and labels."""
    return [_errors(drift), _significance(drift), _predicted_values(drift)]


def _errors(drift: Drift) -> PanelRow:
    return PanelRow(
        9,
        [
            time_series_panel(
                "Mean absolute error",
                "Of predictions with a known actual value, over the selected window, in the unit of the "
                "target, compared with held-out rows. The expected error follows from the predicted values "
                "alone; it is absent while a feature has drifted.",
                range_query(
                    latest_model_series("model:absolute_error_realised:$window"),
                    f"realised {_VERSION}",
                ),
                range_query(
                    latest_model_series("model:absolute_error_expected:$window"),
                    f"expected {_VERSION}",
                ),
                range_query(HELD_OUT_ERROR, f"held-out rows {_VERSION}"),
                unit="short",
                no_data_text=NO_REGRESSOR,
                alerts=("ModelErrorWarning", "ModelErrorCritical", "ModelExpectedErrorHigh"),
            ),
            time_series_panel(
                "Root mean squared error",
                "In the unit of the target. If it rises far more than the mean absolute error, few rows "
                "have very large errors.",
                range_query(latest_model_series("model:rmse_realised:$window"), _VERSION),
                unit="short",
                no_data_text=NO_VALUES,
            ),
            time_series_panel(
                "Coverage of the interval",
                "Fraction of actual values inside the predicted interval, compared with held-out rows. "
                "Lower means that the intervals are too narrow.",
                range_query(
                    latest_model_series("model:coverage_realised:$window"), f"realised {_VERSION}"
                ),
                range_query(HELD_OUT_COVERAGE, f"held-out rows {_VERSION}"),
                unit="percentunit",
                soft_max=1,
                no_data_text=NO_REGRESSOR,
                alerts=("ModelCoverageLow",),
            ),
        ],
    )


def _significance(drift: Drift) -> PanelRow:
    return PanelRow(
        8,
        [
            time_series_panel(
                "Rise of the error",
                "Mean absolute error relative to that on held-out rows, minus 1. Absent with fewer than "
                f"{drift.outcomes} labels.",
                range_query(latest_model_series("model:absolute_error_rise:$window"), _VERSION),
                unit="percentunit",
                thresholds=(drift.error_rise_warning, drift.error_rise_critical),
                signed=True,
                no_data_text=NO_VALUES,
                alerts=("ModelErrorWarning", "ModelErrorCritical"),
            ),
            time_series_panel(
                "z-score of the mean absolute error",
                "The same difference in standard deviations. Above "
                f"{number(drift.error_z)} it is significant. Absent with fewer than {drift.outcomes} "
                "labels.",
                range_query(latest_model_series("model:absolute_error_z:$window"), _VERSION),
                unit="short",
                thresholds=(drift.error_z,),
                signed=True,
                no_data_text=NO_VALUES,
                alerts=("ModelErrorRisen",),
            ),
            time_series_panel(
                "Actual values received",
                "By whether the value was inside the predicted interval.",
                range_query(
                    f'sum by (inside) (rate(ml_residuals_total{{job="model"}}[{WINDOW}]))',
                    "inside: {{inside}}",
                ),
                unit="short",
                stacked=True,
                no_data_text=NO_VALUES,
            ),
        ],
    )


def _predicted_values(drift: Drift) -> PanelRow:
    moved = (
        f"({latest_model_series('model:prediction_ratio:$window')}\n"
        "- on (model, version, label)\n"
        f"{latest_model_series('model:prediction_reference_ratio:now')}){_REGRESSOR}"
    )
    return PanelRow(
        8,
        [
            time_series_panel(
                "Predicted values by bin",
                "Fraction of predicted values in each bin, over the selected window. On held-out rows, "
                "the bins between under and over hold about a tenth each.",
                range_query(
                    f"{latest_model_series('model:prediction_ratio:$window')}{_REGRESSOR}",
                    "{{label}}",
                ),
                unit="percentunit",
                stacked=True,
                soft_max=1,
                no_data_text=NO_REGRESSOR,
            ),
            time_series_panel(
                "Change of the predicted values by bin",
                "Fraction of predicted values in each bin minus that on held-out rows.",
                range_query(moved, "{{label}}"),
                unit="percentunit",
                signed=True,
                no_data_text=NO_REGRESSOR,
                alerts=("DriftPredictionWarning", "DriftPredictionCritical"),
            ),
            time_series_panel(
                "Drift of the predicted values",
                "Population stability index (PSI) against held-out rows.",
                range_query(
                    f"{latest_model_series('model:prediction_psi:$window')}{_REGRESSOR}", _VERSION
                ),
                unit="short",
                thresholds=(drift.psi_warning, drift.psi_critical),
                no_data_text=NO_REGRESSOR,
                alerts=("DriftPredictionWarning", "DriftPredictionCritical"),
            ),
        ],
    )
