"""The section about labels of the dashboard "Model": is the model still accurate?"""

from __future__ import annotations

from typing import Final

from tidegate.rules.promql import number
from tidegate.settings import Drift
from tools.generate.grafana.dashboard import PanelRow
from tools.generate.grafana.drift_panels import REFERENCE_ACCURACY, latest_model_series
from tools.generate.grafana.panels import time_series_panel
from tools.generate.grafana.queries import WINDOW, range_query

DETECTOR_LEGEND: Final = "{{detector}} {{version}}"
_WATCH: Final = "tidegate_watch"
NO_LABELS: Final = "No labels yet: they come by POST /feedback"


def accuracy_rows(drift: Drift) -> list[PanelRow]:
    """The panels about accuracy, its significance, and the labels that arrived."""
    return [
        PanelRow(
            9,
            [
                time_series_panel(
                    "Share of right labels",
                    "Of those whose truth is known by now, over the chosen window, against held-out rows.",
                    range_query(latest_model_series("model:accuracy_realised:$window"), "realised"),
                    range_query(REFERENCE_ACCURACY, "held-out rows"),
                    unit="percentunit",
                    soft_max=1,
                    no_data_text=NO_LABELS,
                    alerts=("ModelAccuracyWarning", "ModelAccuracyCritical"),
                ),
                time_series_panel(
                    "Errors, in standard deviations",
                    f"By how much there are more than on held-out rows. Above {number(drift.error_z)} it is "
                    "no chance: what the model has learned may no longer hold. Missing below "
                    f"{drift.outcomes} labels.",
                    range_query(
                        latest_model_series("model:error_z:$window"), "{{model}} {{version}}"
                    ),
                    unit="short",
                    thresholds=(drift.error_z,),
                    signed=True,
                    no_data_text=NO_LABELS,
                    alerts=("ModelConceptDrift",),
                ),
                time_series_panel(
                    "Precision and recall",
                    "Of each label: how many of those given are right, how many of the true were found.",
                    range_query(
                        latest_model_series("model:precision:$window"), "precision of {{label}}"
                    ),
                    range_query(latest_model_series("model:recall:$window"), "recall of {{label}}"),
                    unit="percentunit",
                    soft_max=1,
                    no_data_text=NO_LABELS,
                ),
            ],
        ),
        PanelRow(
            8,
            [
                time_series_panel(
                    "Labels",
                    "Those that came, by whether the answer was right.",
                    range_query(
                        f'sum by (correct) (rate(ml_outcomes_total{{job="model"}}[{WINDOW}]))',
                        "right: {{correct}}",
                    ),
                    unit="short",
                    stacked=True,
                    no_data_text=NO_LABELS,
                ),
                time_series_panel(
                    "Labels refused",
                    "By the reason. Forged ones are none that this model gave, or were changed.",
                    range_query(
                        f'sum by (reason) (rate(ml_feedback_refused_total{{job="model"}}[{WINDOW}]))',
                        "{{reason}}",
                    ),
                    unit="short",
                    alerts=("ModelFeedbackForged",),
                ),
                time_series_panel(
                    "Age of labels, median",
                    "From an answer to its label, over an hour: what is known of the model is that old.",
                    range_query(
                        latest_model_series("model:label_lag_seconds_p50:1h"),
                        "{{model}} {{version}}",
                    ),
                    unit="s",
                    no_data_text=NO_LABELS,
                    alerts=("ModelLabelsLate",),
                ),
            ],
        ),
        PanelRow(
            8,
            [
                time_series_panel(
                    "Error rate, label by label",
                    "As the detectors of `tidegate monitor watch` see it: z over the last labels, ADWIN over "
                    "as many as are alike.",
                    range_query(
                        f"max by (version, detector) ({_WATCH}_error_ratio)", DETECTOR_LEGEND
                    ),
                    unit="percentunit",
                    soft_max=1,
                    no_data_text=NO_LABELS,
                ),
                time_series_panel(
                    "Errors among the last labels, in standard deviations",
                    f"Above {number(drift.error_z)} the z-test finds a change: after some hundred labels, "
                    "however long they take.",
                    range_query(
                        f"max by (model, version) ({_WATCH}_error_z)", "{{model}} {{version}}"
                    ),
                    unit="short",
                    thresholds=(drift.error_z,),
                    signed=True,
                    no_data_text=NO_LABELS,
                ),
                time_series_panel(
                    "Since the last change",
                    "Of the error rate, for the worse or for the better. Each change is an event of the "
                    "dataset tidegate.drift, which says from where to where.",
                    range_query(
                        f"time() - max by (version, detector) ({_WATCH}_change_timestamp_seconds)",
                        DETECTOR_LEGEND,
                    ),
                    unit="s",
                    no_data_text="No change was found",
                    alerts=("ModelErrorRateChanged", "WatchDown"),
                ),
            ],
        ),
    ]
