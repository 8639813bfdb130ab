"""Accuracy and the labels that arrived, a section of the dashboard "Model"."""

from __future__ import annotations

from typing import Final

from tidegate.rules.promql import number
from tidegate.rules.quality_rules import HELD_OUT_ACCURACY
from tidegate.settings import Drift
from tools.generate.grafana.dashboard import PanelRow
from tools.generate.grafana.drift_panels import latest_model_series
from tools.generate.grafana.panels import time_series_panel
from tools.generate.grafana.queries import WINDOW, range_query

DETECTOR_LEGEND: Final = "{{detector}} {{version}}"
_WATCH: Final = "tidegate_watch"
NO_LABELS: Final = "No labels yet. Send them to POST /feedback."


def accuracy_rows(drift: Drift) -> list[PanelRow]:
    """The panels about accuracy, its significance, and the labels that arrived."""
    return [
        PanelRow(
            9,
            [
                time_series_panel(
                    "Accuracy",
                    "Fraction of correct predictions among those with a known label, over "
                    "the selected window, compared with held-out rows.",
                    range_query(latest_model_series("model:accuracy_realised:$window"), "realised"),
                    range_query(HELD_OUT_ACCURACY, "held-out rows"),
                    unit="percentunit",
                    soft_max=1,
                    no_data_text=NO_LABELS,
                    alerts=("ModelAccuracyWarning", "ModelAccuracyCritical"),
                ),
                time_series_panel(
                    "Error z-score",
                    "Error rate above that on held-out rows, in standard deviations. Above "
                    f"{number(drift.error_z)} the difference is significant, which indicates "
                    f"concept drift. Absent with fewer than {drift.outcomes} labels.",
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
                    "For each label: the fraction of its predictions that are correct, and "
                    "the fraction of its rows that were predicted.",
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
                    "Labels received",
                    "By whether the prediction was correct.",
                    range_query(
                        f'sum by (correct) (rate(ml_outcomes_total{{job="model"}}[{WINDOW}]))',
                        "correct: {{correct}}",
                    ),
                    unit="short",
                    stacked=True,
                    no_data_text=NO_LABELS,
                ),
                time_series_panel(
                    "Rejected labels",
                    "By reason. A forged prediction id was not issued by this model, or was "
                    "changed.",
                    range_query(
                        f'sum by (reason) (rate(ml_feedback_refused_total{{job="model"}}[{WINDOW}]))',
                        "{{reason}}",
                    ),
                    unit="short",
                    alerts=("ModelFeedbackForged",),
                ),
                time_series_panel(
                    "Median label delay",
                    "Time from a prediction to its label, over one hour. The known accuracy "
                    "is at least that old.",
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
                    "Error rate by detector",
                    "As the detectors of `tidegate monitor watch` estimate it: z over the "
                    "latest labels, ADWIN over an adaptive window.",
                    range_query(
                        f"max by (version, detector) ({_WATCH}_error_ratio)", DETECTOR_LEGEND
                    ),
                    unit="percentunit",
                    soft_max=1,
                    no_data_text=NO_LABELS,
                ),
                time_series_panel(
                    "Error z-score of the latest labels",
                    f"Above {number(drift.error_z)} the z-test reports a change: after some "
                    "hundred labels, regardless of how long they take.",
                    range_query(
                        f"max by (model, version) ({_WATCH}_error_z)", "{{model}} {{version}}"
                    ),
                    unit="short",
                    thresholds=(drift.error_z,),
                    signed=True,
                    no_data_text=NO_LABELS,
                ),
                time_series_panel(
                    "Time since the last change",
                    "Time since a detector found a change of the error rate, up or down. "
                    "Each change is an event of the dataset tidegate.drift with the rates "
                    "before and after.",
                    range_query(
                        f"time() - max by (version, detector) ({_WATCH}_change_timestamp_seconds)",
                        DETECTOR_LEGEND,
                    ),
                    unit="s",
                    no_data_text="No change detected",
                    alerts=("ModelErrorRateChanged", "WatchDown"),
                ),
            ],
        ),
    ]
