"""The dashboard "Model", its drift: does the model still see what it was trained on?"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh

from tidegate.rules.drift_rules import FRESH
from tidegate.rules.promql import number
from tidegate.rules.quality_rules import WINDOWS
from tidegate.settings import Drift
from tools.generate.grafana.dashboard import PanelRow, Variable
from tools.generate.grafana.panels import stat_panel, time_series_panel
from tools.generate.grafana.queries import PROMETHEUS, range_query

# The longest of the intervals at which the windows are recorded.
LOOKBACK: Final = FRESH[WINDOWS[-1]]
FEATURE_MATCHER: Final = '{feature="$feature"}'
REFERENCE_ACCURACY: Final = 'max by (model, version) (ml_reference_accuracy{job="model"})'


def drift_variables() -> tuple[Variable, ...]:
    """The window over which rows are counted, and the feature that is shown."""
    window = (
        builders.CustomVariable("window")
        .label("Window")
        .description("Over which rows and labels are counted.")
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
    features = ("DriftFeatureWarning", "DriftFeatureCritical")
    answers = ("DriftPredictionWarning", "DriftPredictionCritical")
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
                    "Features that have drifted",
                    f"Share of them, where it is no chance. From {number(drift.dataset_share)} on the model "
                    "answers about a world that it was not trained for.",
                    range_query(
                        f"max({latest_model_series('model:drifted_features_ratio:$window')})",
                        "share",
                    ),
                    unit="percentunit",
                    thresholds=(0.001, drift.dataset_share),
                    alerts=("DriftDataset",),
                ),
                stat_panel(
                    "Largest drift of a feature",
                    "Population stability index, of the feature that has moved most.",
                    range_query(
                        f"max({latest_model_series('model:feature_psi:$window')})", "drift"
                    ),
                    unit="short",
                    thresholds=limits,
                    decimals=3,
                    alerts=features,
                ),
                stat_panel(
                    "Drift of the answers",
                    "Population stability index of the labels given.",
                    range_query(
                        f"max({latest_model_series('model:prediction_psi:$window')})", "drift"
                    ),
                    unit="short",
                    thresholds=limits,
                    decimals=3,
                    alerts=answers,
                ),
                stat_panel(
                    "Rows counted",
                    f"In the window. Below {drift.samples} nothing is said of them.",
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
                    "Drift of each feature",
                    f"Population stability index against training: above {number(limits[0])} a feature's "
                    f"values have moved, above {number(limits[1])} far. With few rows it is high by chance, "
                    "which alerts leave out.",
                    range_query(latest_model_series("model:feature_psi:$window"), "{{feature}}"),
                    unit="short",
                    thresholds=limits,
                    alerts=(*features, "DriftDataset"),
                ),
                time_series_panel(
                    "Where the chosen feature has moved to",
                    "For each bin, its share of the rows now less that at training: above zero, more values "
                    "lie there.",
                    range_query(shift, "{{bin}}"),
                    unit="percentunit",
                    signed=True,
                    alerts=features,
                ),
                time_series_panel(
                    "Share of right labels, expected",
                    "By the model's own calibrated confidence, against held-out rows. It falls when the data "
                    "are harder, does not see that the world has changed, and is left out where a feature "
                    "has drifted.",
                    range_query(latest_model_series("model:accuracy_expected:$window"), "expected"),
                    range_query(REFERENCE_ACCURACY, "held-out rows"),
                    unit="percentunit",
                    soft_max=1,
                    alerts=("ModelExpectedAccuracyLow",),
                ),
            ],
        ),
    ]


def latest_model_series(recorded: str, match: str = "") -> str:
    """The last value of a series that is recorded at a longer interval than Prometheus' lookback."""
    return f"last_over_time({recorded}{match}[{LOOKBACK}])"
