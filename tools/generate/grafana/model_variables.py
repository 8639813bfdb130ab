"""The variables of the dashboard "Model"."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh

from tidegate.rules.quality_rules import WINDOWS
from tools.generate.grafana.dashboard import Variable
from tools.generate.grafana.queries import PROMETHEUS


def model_variables() -> tuple[Variable, ...]:
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
