"""The dashboard "Model": what does it predict, is it still accurate, and how long does it take?"""

from __future__ import annotations

from typing import Final

from tidegate.settings import Settings
from tools.generate.grafana.accuracy_panels import accuracy_rows
from tools.generate.grafana.dashboard import PanelRow, Section, dashboard
from tools.generate.grafana.drift_panels import drift_rows, drift_variables, latest_model_series
from tools.generate.grafana.panels import stat_panel, time_series_panel
from tools.generate.grafana.queries import (
    TRACES,
    WINDOW,
    count_query,
    instant_query,
    percentile_query,
    range_query,
)

DESCRIPTION: Final = "What does the model answer, is it still right, and how long does it take?"
PREDICTIONS: Final = 'tidegate_predictions_total{job="model"}'
REQUESTS: Final = "event.dataset:tidegate.request"


def dashboard_json(settings: Settings) -> str:
    """The dashboard."""
    sections = [
        Section("Predictions", _predictions()),
        Section("Drift", drift_rows(settings.drift)),
        Section("Labels", accuracy_rows(settings.drift)),
        Section("Time", _time(settings)),
    ]
    return dashboard("model", DESCRIPTION, sections, variables=drift_variables())


def _predictions() -> list[PanelRow]:
    by_label = f"sum by (label) (rate({PREDICTIONS}[{WINDOW}]))"
    return [
        PanelRow(
            4,
            [
                stat_panel(
                    "Rows a second",
                    "Rows predicted; a heavy request has many.",
                    range_query(f"sum(rate({PREDICTIONS}[{WINDOW}]))", "rows"),
                    unit="short",
                    decimals=1,
                ),
                stat_panel(
                    "Rows predicted",
                    "In the time that is shown.",
                    instant_query(f"sum(increase({PREDICTIONS}[$__range]))"),
                    unit="short",
                    decimals=0,
                ),
                stat_panel(
                    "Versions that answer",
                    "More than one while a new model is rolled out; else a replica runs an old one.",
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
                    "What the model answers.",
                    range_query(by_label, "{{label}}"),
                    unit="short",
                    stacked=True,
                ),
                time_series_panel(
                    "Share of each label",
                    "Over the chosen window, against held-out rows. A share that leaves its line tells of "
                    "other data, or of another model.",
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
                    "Which version of which model answers.",
                    range_query(
                        f"sum by (model, version) (rate({PREDICTIONS}[{WINDOW}]))",
                        "{{model}} {{version}}",
                    ),
                    unit="short",
                    stacked=True,
                ),
                time_series_panel(
                    "Probability of the label given, median",
                    "Of each request's first row. A model that grows less sure sees what it has not learned.",
                    percentile_query(
                        REQUESTS,
                        "tidegate.prediction.probability",
                        50,
                        by="tidegate.prediction.label",
                    ),
                    unit="percentunit",
                    soft_max=1,
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
                    "The service time that the autoscaler reckons with. It should not follow the load: if it "
                    "does, replicas share a resource.",
                    range_query("service:slot_seconds_mean:1m", "mean"),
                    range_query("service:slot_seconds_p95:1m", "p95"),
                    unit="s",
                    thresholds=(settings.slo.latency_seconds,),
                ),
                time_series_panel(
                    "Response time by kind, p95",
                    "From the arrival at the gateway, queueing included, from the log lines.",
                    percentile_query(REQUESTS, "event.duration", 95, by="tidegate.work"),
                    unit="ns",
                ),
                time_series_panel(
                    "Time in the queue by kind, p95",
                    "The part of it that was waiting. All kinds share one queue, so the lines lie together.",
                    percentile_query(REQUESTS, "tidegate.queue_ns", 95, by="tidegate.work"),
                    unit="ns",
                ),
            ],
        ),
        PanelRow(
            8,
            [
                time_series_panel(
                    "Where the time goes, p95",
                    "Each step of kept traces: reading the request, waiting for a slot, the model.",
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
                    "From the log lines, so that a version can be searched for in Kibana.",
                    count_query(REQUESTS, by="tidegate.model.version"),
                    unit="short",
                    stacked=True,
                    bars=True,
                ),
            ],
        ),
    ]
