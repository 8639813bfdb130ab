"""The dashboard "Pipeline": collector, Logstash, Elasticsearch and scrapes."""

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
    "Does every event reach the store without delay? Collector, Logstash, Elasticsearch, scrapes."
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
                "1: the store, or Logstash in front of it, accepted the last delivery. 0: it "
                "is unavailable, and events wait in their files.",
                range_query(f"min(tidegate_collector_sink_up{COLLECTOR})", "sink"),
                unit="short",
                thresholds=(1, 1),
                low_is_bad=True,
                alerts=("CollectorSinkDown", "CollectorDown"),
            ),
            stat_panel(
                "Lag",
                "Age of the oldest undelivered event.",
                range_query(f"max(tidegate_collector_lag_seconds{COLLECTOR})", "lag"),
                unit="s",
                thresholds=(LAG_SECONDS / 3, LAG_SECONDS),
                alerts=("CollectorLag",),
            ),
            stat_panel(
                "Backlog",
                "Bytes of undelivered events.",
                range_query(f"max(tidegate_collector_lag_bytes{COLLECTOR})", "backlog"),
                unit="bytes",
                alerts=("CollectorLag",),
            ),
            stat_panel(
                "Quarantined",
                "Lines that no store accepts, in the selected time range. They are in the "
                "collector's quarantine file.",
                instant_query(
                    f"sum(increase(tidegate_collector_quarantined_total{COLLECTOR}[$__range]))"
                ),
                unit="short",
                thresholds=(1,),
                decimals=0,
                alerts=("CollectorQuarantine",),
            ),
            stat_panel(
                "Lost events",
                "Events lost because the disk was full or failed, in the selected time "
                "range. Any number but 0 is a gap in the logs.",
                instant_query(
                    'sum(increase(tidegate_events_lost_total{job="model"}[$__range]))\n+ '
                    '(sum(increase(haproxy_process_dropped_logs_total{job="gateway"}[$__range]))'
                    " or vector(0))"
                ),
                unit="short",
                thresholds=(1,),
                decimals=0,
                alerts=("GatewayEventsLost",),
            ),
            stat_panel(
                "Targets down",
                "Scrape targets of Prometheus that do not respond.",
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
    rates = {"retried": "retried", "quarantined": "quarantined"}
    return PanelRow(
        8,
        [
            time_series_panel(
                "Delivered",
                "Events that the store acknowledged. After an outage the rate is above the "
                "load until the backlog is empty.",
                range_query(
                    f"sum(rate(tidegate_collector_delivered_total{COLLECTOR}[{WINDOW}]))",
                    "delivered",
                ),
                unit="eps",
                alerts=("CollectorDown",),
            ),
            time_series_panel(
                "Lag",
                "Delay of events on their way to the store (left axis), and size of the "
                "backlog (right axis). A steady rise means that the sink is unavailable or "
                "too slow.",
                range_query(
                    f"max(tidegate_collector_lag_seconds{COLLECTOR})", "age of the oldest event"
                ),
                range_query(f"max(tidegate_collector_lag_bytes{COLLECTOR})", "backlog"),
                unit="s",
                thresholds=(LAG_SECONDS,),
                right_axis={"/^backlog$/": "bytes"},
                alerts=("CollectorLag",),
            ),
            time_series_panel(
                "Retried and quarantined",
                "Retries are harmless, because each event keeps its id. Quarantined lines "
                "need attention.",
                *(
                    range_query(
                        f"sum(rate(tidegate_collector_{name}_total{COLLECTOR}[{WINDOW}]))", label
                    )
                    for name, label in rates.items()
                ),
                unit="eps",
                alerts=(
                    "CollectorSinkDown",
                    "CollectorQuarantine",
                    "CollectorEventsLost",
                    "CollectorStoreDamaged",
                ),
            ),
        ],
    )


def _scrapes() -> PanelRow:
    return PanelRow(
        7,
        [
            state_timeline_panel(
                "Targets",
                "When Prometheus could scrape each target. Replicas disappear when they are "
                "scaled in.",
                range_query("min by (job, instance) (up)", "{{job}} {{instance}}"),
                value_mappings={"1": ("up", "green"), "0": ("down", "red")},
            ),
            time_series_panel(
                "Scrape duration",
                "The slowest target of each job. Near the scrape interval, samples go missing.",
                range_query("max by (job) (scrape_duration_seconds)", "{{job}}"),
                unit="s",
            ),
            time_series_panel(
                "Samples per scrape",
                "Sum over all targets of a job. It grows with replicas, labels and buckets.",
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
                    "Stored events by dataset",
                    "Counted at the time of the event. Access events are of requests "
                    "that no replica has recorded or that did not end well.",
                    count_query("*", by="event.dataset"),
                    unit="short",
                    stacked=True,
                    bars=True,
                ),
                logs_panel(
                    "Component logs",
                    "All events except requests, access events, decisions and spans: starts, "
                    "stops, failed deliveries.",
                    log_query(f"NOT event.dataset:({frequent})"),
                    no_data_text="No component wrote a line",
                ),
            ],
        )
    ]
