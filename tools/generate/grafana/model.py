"""The dashboard "Model": predictions, drift, accuracy and durations."""

from __future__ import annotations

from typing import Final

from tidegate.settings import Settings
from tools.generate.grafana.accuracy_panels import accuracy_rows
from tools.generate.grafana.dashboard import PanelRow, Section, dashboard
from tools.generate.grafana.drift_panels import drift_rows, drift_variables, latest_model_series
from tools.generate.grafana.error_panels import error_rows
from tools.generate.grafana.panels import stat_panel, time_series_panel
from tools.generate.grafana.queries import (
    TRACES,
    WINDOW,
    count_query,
    instant_query,
    percentile_query,
    range_query,
)

DESCRIPTION: Final = "What does the model predict, is it still accurate, and how long does it take?"
PREDICTIONS: Final = 'tidegate_predictions_total{job="model"}'
REQUESTS: Final = "event.dataset:tidegate.request"


def dashboard_json(settings: Settings) -> str:
    """The dashboard."""
    sections = [
        Section("Predictions", _predictions()),
        Section("Drift", drift_rows(settings.drift)),
        Section("Labels", accuracy_rows(settings.drift)),
        Section("Duration", _time(settings)),
        # A row that repeats over the regressors would show an empty one, "None", where there is none.
        Section("Regressors", error_rows(settings.drift), collapsed=True),
    ]
    return dashboard("model", DESCRIPTION, sections, variables=drift_variables())


def _predictions() -> list[PanelRow]:
    by_label = f"sum by (label) (rate({PREDICTIONS}[{WINDOW}]))"
    return [
        PanelRow(
            4,
            [
                stat_panel(
                    "Rows per second",
                    "Predicted rows per second. A heavy request has many rows.",
                    range_query(f"sum(rate({PREDICTIONS}[{WINDOW}]))", "rows"),
                    unit="short",
                    decimals=1,
                ),
                stat_panel(
                    "Rows predicted",
                    "In the selected time range.",
                    instant_query(f"sum(increase({PREDICTIONS}[$__range]))"),
                    unit="short",
                    decimals=0,
                ),
                stat_panel(
                    "Serving versions",
                    "More than one while a new model is rolled out; otherwise a replica runs "
                    "an old model.",
                    range_query(f"count(count by (model, version) ({PREDICTIONS}))", "versions"),
                    unit="short",
                    thresholds=(2, 3),
                ),
            ],
        ),
        PanelRow(
            8,
            [
                time_series_panel(
                    "Rows by label",
                    "Predicted rows by predicted label.",
                    range_query(by_label, "{{label}}"),
                    unit="short",
                    stacked=True,
                ),
                time_series_panel(
                    "Fraction of each label",
                    "Over the selected window, compared with held-out rows. A change means "
                    "other data or another model.",
                    range_query(latest_model_series("model:prediction_ratio:$window"), "{{label}}"),
                    range_query(
                        latest_model_series("model:prediction_reference_ratio:now"),
                        "{{label}} at training",
                    ),
                    unit="percentunit",
                    soft_max=1,
                    alerts=("DriftPredictionWarning", "DriftPredictionCritical"),
                ),
                time_series_panel(
                    "Rows by version",
                    "Predicted rows by model and version.",
                    range_query(
                        f"sum by (model, version) (rate({PREDICTIONS}[{WINDOW}]))",
                        "{{model}} {{version}}",
                    ),
                    unit="short",
                    stacked=True,
                ),
                time_series_panel(
                    "Median probability of the predicted label",
                    "Of the first row of each request. A falling probability means that "
                    "inputs differ from the training data.",
                    percentile_query(
                        REQUESTS,
                        "tidegate.prediction.probability",
                        50,
                        by="tidegate.prediction.label",
                    ),
                    unit="percentunit",
                    soft_max=1,
                    no_data_text="The model gives no probabilities",
                ),
            ],
        ),
    ]


def _time(settings: Settings) -> list[PanelRow]:
    return [
        PanelRow(
            8,
            [
                time_series_panel(
                    "Time in a slot",
                    "Service time, which the autoscaler uses. It should not depend on the "
                    "load; if it does, replicas share a resource.",
                    range_query("service:slot_seconds_mean:1m", "mean"),
                    range_query("service:slot_seconds_p95:1m", "p95"),
                    unit="s",
                    thresholds=(settings.slo.latency_seconds,),
                ),
                time_series_panel(
                    "Response time by work, p95",
                    "From the arrival at the gateway, including the time in the queue; from "
                    "the request events.",
                    percentile_query(REQUESTS, "event.duration", 95, by="tidegate.work"),
                    unit="ns",
                ),
                time_series_panel(
                    "Time in the queue by work, p95",
                    "Time that requests waited for a slot. Light, medium and heavy requests "
                    "share one queue, so the lines should coincide.",
                    percentile_query(REQUESTS, "tidegate.queue_ns", 95, by="tidegate.work"),
                    unit="ns",
                ),
            ],
        ),
        PanelRow(
            8,
            [
                time_series_panel(
                    "Duration of each step, p95",
                    "Steps of sampled traces: reading the request, waiting for a slot, "
                    "running the model.",
                    percentile_query(
                        "event.dataset:tidegate.span",
                        "event.duration",
                        95,
                        by="span.name",
                        source=TRACES,
                    ),
                    unit="ns",
                ),
                time_series_panel(
                    "Requests by version",
                    "From the request events, so Kibana can filter by the same version.",
                    count_query(REQUESTS, by="tidegate.model.version"),
                    unit="short",
                    stacked=True,
                    bars=True,
                ),
            ],
        ),
    ]
