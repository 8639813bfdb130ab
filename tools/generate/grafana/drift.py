"""The dashboard "Model", its drift: does the model still see what it was trained on?"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh

from tidegate.rules.drift_rules import FRESH
from tidegate.rules.promql import number as digits
from tidegate.rules.quality_rules import WINDOWS
from tidegate.settings import Drift
from tools.generate.grafana.board import Line, Variable
from tools.generate.grafana.panels import graph, number
from tools.generate.grafana.queries import PROMETHEUS, series

# The slowest interval; each window is recorded at its own.
KEPT: Final = FRESH[WINDOWS[-1]]
FEATURE: Final = '{feature="$feature"}'
HELD_OUT: Final = 'max by (model, version) (ml_reference_accuracy{job="model"})'


def choices() -> tuple[Variable, ...]:
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


def data(drift: Drift) -> list[Line]:
    """The panels about the drift of features and predictions."""
    limits = (drift.psi_warning, drift.psi_critical)
    features = ("DriftFeatureWarning", "DriftFeatureCritical")
    answers = ("DriftPredictionWarning", "DriftPredictionCritical")
    shift = (
        f"{last('model:feature_ratio:$window', FEATURE)}\n- on (model, version, feature, bin)\n"
        f"{last('model:feature_reference_ratio:now', FEATURE)}"
    )
    return [
        Line(
            4,
            [
                number(
                    "Features that have drifted",
                    f"Share of them, where it is no chance. From {digits(drift.dataset_share)} on the model "
                    "answers about a world that it was not trained for.",
                    series(f"max({last('model:drifted_features_ratio:$window')})", "share"),
                    unit="percentunit",
                    limits=(0.001, drift.dataset_share),
                    alerts=("DriftDataset",),
                ),
                number(
                    "Largest drift of a feature",
                    "Population stability index, of the feature that has moved most.",
                    series(f"max({last('model:feature_psi:$window')})", "drift"),
                    unit="short",
                    limits=limits,
                    decimals=3,
                    alerts=features,
                ),
                number(
                    "Drift of the answers",
                    "Population stability index of the labels given.",
                    series(f"max({last('model:prediction_psi:$window')})", "drift"),
                    unit="short",
                    limits=limits,
                    decimals=3,
                    alerts=answers,
                ),
                number(
                    "Rows counted",
                    f"In the window. Below {drift.samples} nothing is said of them.",
                    series(f"max({last('model:prediction_samples:$window')})", "rows"),
                    unit="short",
                ),
            ],
        ),
        Line(
            9,
            [
                graph(
                    "Drift of each feature",
                    f"Population stability index against training: above {digits(limits[0])} a feature's "
                    f"values have moved, above {digits(limits[1])} far. With few rows it is high by chance, "
                    "which alerts leave out.",
                    series(last("model:feature_psi:$window"), "{{feature}}"),
                    unit="short",
                    limits=limits,
                    alerts=(*features, "DriftDataset"),
                ),
                graph(
                    "Where the chosen feature has moved to",
                    "For each bin, its share of the rows now less that at training: above zero, more values "
                    "lie there.",
                    series(shift, "{{bin}}"),
                    unit="percentunit",
                    signed=True,
                    alerts=features,
                ),
                graph(
                    "Share of right labels, expected",
                    "By the model's own calibrated confidence, against held-out rows. It falls when the data "
                    "are harder, does not see that the world has changed, and is left out where a feature "
                    "has drifted.",
                    series(last("model:accuracy_expected:$window"), "expected"),
                    series(HELD_OUT, "held-out rows"),
                    unit="percentunit",
                    top=1,
                    alerts=("ModelExpectedAccuracyLow",),
                ),
            ],
        ),
    ]


def last(recorded: str, match: str = "") -> str:
    """The last value of a series that is recorded at a longer interval than Prometheus' lookback."""
    return f"last_over_time({recorded}{match}[{KEPT}])"
