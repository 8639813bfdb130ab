"""The dashboard "Pipeline": do all events arrive, and without delay?"""

from __future__ import annotations

from typing import Final

from tidegate.rules.alerts import LAG_SECONDS
from tools.generate.grafana.dashboard import PanelRow, Section, dashboard
from tools.generate.grafana.elastic_panels import elasticsearch_rows, logstash_rows
from tools.generate.grafana.panels import (
    logs_panel,
    stat_panel,
    state_timeline_panel,
    time_series_panel,
)
from tools.generate.grafana.queries import (
    WINDOW,
    count_query,
    instant_query,
    log_query,
    range_query,
)

DESCRIPTION: Final = (
    "Does every event reach the store, and soon? Collector, Logstash, Elasticsearch, scrapes."
)
COLLECTOR: Final = '{job="collector"}'


def dashboard_json() -> str:
    """The dashboard."""
    sections = [
        Section("Now", [_now()]),
        Section("Collector", [_collector()]),
        Section("Logstash", logstash_rows()),
        Section("Elasticsearch", elasticsearch_rows()),
        Section("Scrapes", [_scrapes()]),
        Section("Events", _events()),
    ]
    return dashboard("pipeline", DESCRIPTION, sections)


def _now() -> PanelRow:
    return PanelRow(
        4,
        [
            stat_panel(
                "Sink",
                "1: the store, or Logstash before it, took the last delivery. 0: it is away; events wait in "
                "their files.",
                range_query(f"min(tidegate_collector_sink_up{COLLECTOR})", "sink"),
                unit="short",
                thresholds=(1, 1),
                low_is_bad=True,
                alerts=("CollectorSinkDown", "CollectorDown"),
            ),
            stat_panel(
                "Lag",
                "Age of the oldest event that is not delivered yet.",
                range_query(f"max(tidegate_collector_lag_seconds{COLLECTOR})", "lag"),
                unit="s",
                thresholds=(LAG_SECONDS / 3, LAG_SECONDS),
                alerts=("CollectorLag",),
            ),
            stat_panel(
                "Backlog",
                "What is not delivered yet.",
                range_query(f"max(tidegate_collector_lag_bytes{COLLECTOR})", "backlog"),
                unit="bytes",
                alerts=("CollectorLag",),
            ),
            stat_panel(
                "Set aside",
                "Lines that no store can take, in the time that is shown; they lie in the collector's "
                "quarantine file.",
                instant_query(
                    f"sum(increase(tidegate_collector_quarantined_total{COLLECTOR}[$__range]))"
                ),
                unit="short",
                thresholds=(1,),
                decimals=0,
                alerts=("CollectorQuarantine",),
            ),
            stat_panel(
                "Events lost",
                "Events that a full or failing disk did not take, in the time that is shown. Anything but 0 "
                "is a gap in the logs.",
                instant_query('sum(increase(tidegate_events_lost_total{job="model"}[$__range]))'),
                unit="short",
                thresholds=(1,),
                decimals=0,
            ),
            stat_panel(
                "Targets that do not answer",
                "Of those that Prometheus reads.",
                range_query("count(up == 0) or vector(0)", "targets"),
                unit="short",
                thresholds=(1,),
                alerts=(
                    *("ReplicaDown", "GatewayDown", "AutoscalerDown"),
                    *("CollectorDown", "WatchDown", "ExporterDown", "AlertmanagerDown"),
                ),
            ),
        ],
    )


def _collector() -> PanelRow:
    rates = {"retried": "retried", "quarantined": "set aside"}
    return PanelRow(
        8,
        [
            time_series_panel(
                "Delivered",
                "Events that the store has acknowledged. After an outage it stands above the load "
                "until the backlog is gone.",
                range_query(
                    f"sum(rate(tidegate_collector_delivered_total{COLLECTOR}[{WINDOW}]))",
                    "delivered",
                ),
                unit="eps",
                alerts=("CollectorDown",),
            ),
            time_series_panel(
                "Lag",
                "How late events reach the store (left), and how much waits (right). A line that rises "
                "steadily has a sink that is away or too slow.",
                range_query(f"max(tidegate_collector_lag_seconds{COLLECTOR})", "age of the oldest"),
                range_query(f"max(tidegate_collector_lag_bytes{COLLECTOR})", "backlog"),
                unit="s",
                thresholds=(LAG_SECONDS,),
                right_axis={"/^backlog$/": "bytes"},
                alerts=("CollectorLag",),
            ),
            time_series_panel(
                "Retried and set aside",
                "Retries are harmless, as each event keeps its id. Lines set aside want somebody to look.",
                *(
                    range_query(
                        f"sum(rate(tidegate_collector_{name}_total{COLLECTOR}[{WINDOW}]))", label
                    )
                    for name, label in rates.items()
                ),
                unit="eps",
                alerts=("CollectorSinkDown", "CollectorQuarantine"),
            ),
        ],
    )


def _scrapes() -> PanelRow:
    return PanelRow(
        7,
        [
            state_timeline_panel(
                "Targets",
                "Which targets Prometheus could read, and when not. Replicas end when they are scaled in.",
                range_query("min by (job, instance) (up)", "{{job}} {{instance}}"),
                value_mappings={"1": ("up", "green"), "0": ("down", "red")},
            ),
            time_series_panel(
                "Time of a scrape",
                "The slowest of each job. Near the scrape interval, samples go missing.",
                range_query("max by (job) (scrape_duration_seconds)", "{{job}}"),
                unit="s",
            ),
            time_series_panel(
                "Samples of a scrape",
                "Of all targets of a job together: it grows with replicas, labels and buckets.",
                range_query("sum by (job) (scrape_samples_post_metric_relabeling)", "{{job}}"),
                unit="short",
            ),
        ],
    )


def _events() -> list[PanelRow]:
    frequent = "tidegate.request OR tidegate.access OR tidegate.decision OR tidegate.span"
    return [
        PanelRow(
            8,
            [
                time_series_panel(
                    "Events in the store",
                    "By dataset, at the time when they happened. Requests without access lines, or the other "
                    "way round, are a gap.",
                    count_query("*", by="event.dataset"),
                    unit="short",
                    stacked=True,
                    bars=True,
                ),
                logs_panel(
                    "What the programs say",
                    "Everything but requests and decisions: starts, ends, deliveries that failed.",
                    log_query(f"NOT event.dataset:({frequent})"),
                ),
            ],
        )
    ]
