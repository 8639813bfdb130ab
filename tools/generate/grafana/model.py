"""The dashboard "Model": what does it predict, is it still accurate, and how long does it take?"""

from __future__ import annotations

from typing import Final

from tidegate.settings import Settings
from tools.generate.grafana import drift
from tools.generate.grafana.board import Line, Section, dashboard
from tools.generate.grafana.labels import truth
from tools.generate.grafana.panels import graph, number
from tools.generate.grafana.queries import TRACES, WINDOW, counts, percentile, series, single

SAYS: Final = "What does the model answer, is it still right, and how long does it take?"
PREDICTIONS: Final = 'tidegate_predictions_total{job="model"}'
REQUESTS: Final = "event.dataset:tidegate.request"


def dashboard_json(settings: Settings) -> str:
    """The dashboard."""
    sections = [
        Section("Predictions", _predictions()),
        Section("Drift", drift.data(settings.drift)),
        Section("Labels", truth(settings.drift)),
        Section("Time", _time(settings)),
    ]
    return dashboard("model", SAYS, sections, choices=drift.choices())


def _predictions() -> list[Line]:
    by_label = f"sum by (label) (rate({PREDICTIONS}[{WINDOW}]))"
    return [
        Line(
            4,
            [
                number(
                    "Rows a second",
                    "Rows predicted; a heavy request has many.",
                    series(f"sum(rate({PREDICTIONS}[{WINDOW}]))", "rows"),
                    unit="short",
                    decimals=1,
                ),
                number(
                    "Rows predicted",
                    "In the time that is shown.",
                    single(f"sum(increase({PREDICTIONS}[$__range]))"),
                    unit="short",
                    decimals=0,
                ),
                number(
                    "Versions that answer",
                    "More than one while a new model is rolled out; else a replica runs an old one.",
                    series(f"count(count by (model, version) ({PREDICTIONS}))", "versions"),
                    unit="short",
                    limits=(2, 3),
                ),
            ],
        ),
        Line(
            8,
            [
                graph(
                    "Rows by label",
                    "What the model answers.",
                    series(by_label, "{{label}}"),
                    unit="short",
                    stacked=True,
                ),
                graph(
                    "Share of each label",
                    "Over the chosen window, against held-out rows. A share that leaves its line tells of "
                    "other data, or of another model.",
                    series(drift.last("model:prediction_ratio:$window"), "{{label}}"),
                    series(
                        drift.last("model:prediction_reference_ratio:now"), "{{label}} at training"
                    ),
                    unit="percentunit",
                    top=1,
                    alerts=("DriftPredictionWarning", "DriftPredictionCritical"),
                ),
                graph(
                    "Rows by version",
                    "Which version of which model answers.",
                    series(
                        f"sum by (model, version) (rate({PREDICTIONS}[{WINDOW}]))",
                        "{{model}} {{version}}",
                    ),
                    unit="short",
                    stacked=True,
                ),
                graph(
                    "Probability of the label given, median",
                    "Of each request's first row. A model that grows less sure sees what it has not learned.",
                    percentile(
                        REQUESTS,
                        "tidegate.prediction.probability",
                        50,
                        by="tidegate.prediction.label",
                    ),
                    unit="percentunit",
                    top=1,
                ),
            ],
        ),
    ]


def _time(settings: Settings) -> list[Line]:
    return [
        Line(
            8,
            [
                graph(
                    "Time in a slot",
                    "The service time that the autoscaler reckons with. It should not follow the load: if it "
                    "does, replicas share a resource.",
                    series("service:slot_seconds_mean:1m", "mean"),
                    series("service:slot_seconds_p95:1m", "p95"),
                    unit="s",
                    limits=(settings.slo.latency_seconds,),
                ),
                graph(
                    "Response time by kind, p95",
                    "From the arrival at the gateway, queueing included, from the log lines.",
                    percentile(REQUESTS, "event.duration", 95, by="tidegate.work"),
                    unit="ns",
                ),
                graph(
                    "Time in the queue by kind, p95",
                    "The part of it that was waiting. All kinds share one queue, so the lines lie together.",
                    percentile(REQUESTS, "tidegate.queue_ns", 95, by="tidegate.work"),
                    unit="ns",
                ),
            ],
        ),
        Line(
            8,
            [
                graph(
                    "Where the time goes, p95",
                    "Each step of kept traces: reading the request, waiting for a slot, the model.",
                    percentile(
                        "event.dataset:tidegate.span",
                        "event.duration",
                        95,
                        by="span.name",
                        source=TRACES,
                    ),
                    unit="ns",
                ),
                graph(
                    "Requests by version",
                    "From the log lines, so that a version can be searched for in Kibana.",
                    counts(REQUESTS, by="tidegate.model.version"),
                    unit="short",
                    stacked=True,
                    bars=True,
                ),
            ],
        ),
    ]
