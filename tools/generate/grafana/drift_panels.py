"""The drift of inputs and predictions, a section of the dashboard "Model"."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh

from tidegate.rules.drift_rules import FRESH
from tidegate.rules.promql import number
from tidegate.rules.quality_rules import HELD_OUT_ACCURACY, WINDOWS
from tidegate.settings import Drift
from tools.generate.grafana.dashboard import PanelRow, Variable
from tools.generate.grafana.panels import stat_panel, time_series_panel
from tools.generate.grafana.queries import PROMETHEUS, range_query

# The longest of the intervals at which the windows are recorded.
LOOKBACK: Final = FRESH[WINDOWS[-1]]
FEATURE_MATCHER: Final = '{feature="$feature"}'


def drift_variables() -> tuple[Variable, ...]:
    """The window over which rows are counted, and the feature to show."""
    window = (
        builders.CustomVariable("window")
        .label("Window")
        .description("The time over which rows and labels are counted.")
        .values(",".join(WINDOWS))
        .current(VariableOption(selected=True, text=WINDOWS[0], value=WINDOWS[0]))
    )
    feature = (
        builders.QueryVariable("feature")
        .label("Feature")
        .datasource(PROMETHEUS)
        .query("label_values(ml_feature_reference_samples, feature)")
        .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
    )
    return window, feature


def drift_rows(drift: Drift) -> list[PanelRow]:
    """The panels about the drift of features and predictions."""
    limits = (drift.psi_warning, drift.psi_critical)
    feature_alerts = ("DriftFeatureWarning", "DriftFeatureCritical")
    prediction_alerts = ("DriftPredictionWarning", "DriftPredictionCritical")
    shift = (
        f"{latest_model_series('model:feature_ratio:$window', FEATURE_MATCHER)}\n"
        "- on (model, version, feature, bin)\n"
        f"{latest_model_series('model:feature_reference_ratio:now', FEATURE_MATCHER)}"
    )
    return [
        PanelRow(
            4,
            [
                stat_panel(
                    "Drifted features",
                    "Fraction of features with a significant drift. From "
                    f"{number(drift.dataset_share)}, the inputs as a whole differ from the "
                    "training data.",
                    range_query(
                        f"max({latest_model_series('model:drifted_features_ratio:$window')})",
                        "fraction",
                    ),
                    unit="percentunit",
                    thresholds=(0.001, drift.dataset_share),
                    no_data_text="Too few rows",
                    alerts=("DriftDataset",),
                ),
                stat_panel(
                    "Largest feature drift",
                    "Population stability index (PSI) of the feature that changed most.",
                    range_query(
                        f"max({latest_model_series('model:feature_psi:$window')})", "drift"
                    ),
                    unit="short",
                    thresholds=limits,
                    decimals=3,
                    alerts=feature_alerts,
                ),
                stat_panel(
                    "Prediction drift",
                    "Population stability index (PSI) of the predicted labels.",
                    range_query(
                        f"max({latest_model_series('model:prediction_psi:$window')})", "drift"
                    ),
                    unit="short",
                    thresholds=limits,
                    decimals=3,
                    alerts=prediction_alerts,
                ),
                stat_panel(
                    "Rows counted",
                    f"Rows in the window. With fewer than {drift.samples} no drift is reported.",
                    range_query(
                        f"max({latest_model_series('model:prediction_samples:$window')})", "rows"
                    ),
                    unit="short",
                ),
            ],
        ),
        PanelRow(
            9,
            [
                time_series_panel(
                    "Feature drift",
                    "Population stability index (PSI) against training. Above "
                    f"{number(limits[0])} a feature has drifted, above {number(limits[1])} "
                    "strongly. With few rows the PSI can be high by chance, which alerts "
                    "ignore.",
                    range_query(latest_model_series("model:feature_psi:$window"), "{{feature}}"),
                    unit="short",
                    thresholds=limits,
                    alerts=(*feature_alerts, "DriftDataset"),
                ),
                time_series_panel(
                    "Change of the selected feature by bin",
                    "Fraction of rows in each bin minus the fraction at training. Above "
                    "zero, the bin has more rows than at training.",
                    range_query(shift, "{{bin}}"),
                    unit="percentunit",
                    signed=True,
                    alerts=feature_alerts,
                ),
                time_series_panel(
                    "Expected accuracy",
                    "From the model's calibrated probabilities, compared with held-out rows. "
                    "It falls when inputs are harder to classify. It cannot detect concept "
                    "drift, and is absent while a feature has drifted.",
                    range_query(latest_model_series("model:accuracy_expected:$window"), "expected"),
                    range_query(HELD_OUT_ACCURACY, "held-out rows"),
                    unit="percentunit",
                    soft_max=1,
                    no_data_text="No classifier with held-out rows",
                    alerts=("ModelExpectedAccuracyLow",),
                ),
            ],
        ),
    ]


def latest_model_series(recorded: str, match: str = "") -> str:
    """The latest value of a series that is recorded at a longer interval than Prometheus' lookback."""
    return f"last_over_time({recorded}{match}[{LOOKBACK}])"
