"""The sections of the dashboard "Pipeline" about Logstash and Elasticsearch."""

from __future__ import annotations

from typing import Final

from tools.generate.grafana.dashboard import PanelRow
from tools.generate.grafana.panels import stat_panel, state_timeline_panel, time_series_panel
from tools.generate.grafana.queries import WINDOW, range_query

EXPORTER: Final = '{job="exporter"}'


def logstash_rows() -> list[PanelRow]:
    """The panels about Logstash's queue, its throughput and its failures."""
    queue = {"queue_bytes": "in the queue", "queue_capacity_bytes": "room"}
    dead_letters = f"sum by (pipeline) (tidegate_logstash_dead_letter_queue_bytes{EXPORTER})"
    dropped = f"sum(increase(tidegate_logstash_dead_letters_dropped_total{EXPORTER}[{WINDOW}]))"
    return [
        PanelRow(
            8,
            [
                time_series_panel(
                    "Events through Logstash",
                    "In, filtered and out lie upon each other. Where out stays below in, the queue grows.",
                    range_query(
                        f"sum by (stage) (rate(tidegate_logstash_events_total{EXPORTER}[{WINDOW}]))",
                        "{{stage}}",
                    ),
                    unit="eps",
                    alerts=("LogstashDown", "ExporterDown"),
                ),
                time_series_panel(
                    "Documents, by what became of them",
                    "Non-retryable failures are nearly always events that were there already, sent a second "
                    "time; what goes to the dead letters is not in the store.",
                    range_query(
                        f"sum by (outcome) (rate(tidegate_logstash_documents_total{EXPORTER}[{WINDOW}]))",
                        "{{outcome}}",
                    ),
                    unit="eps",
                    alerts=("LogstashDeadLetters",),
                ),
                time_series_panel(
                    "Repeated bulk requests",
                    "Requests that Elasticsearch refused as a whole; Logstash repeats each until it "
                    "succeeds. While Elasticsearch answers it should be 0.",
                    range_query(
                        f"sum by (output) (rate(tidegate_logstash_bulk_failures_total{EXPORTER}[{WINDOW}]))",
                        "{{output}}",
                    ),
                    unit="reqps",
                    alerts=("LogstashBatchStuck",),
                ),
            ],
        ),
        PanelRow(
            8,
            [
                time_series_panel(
                    "Queue",
                    "What Logstash has acknowledged and not yet delivered, on its disk. When it is "
                    "full, the collector waits.",
                    *(
                        range_query(f"sum(tidegate_logstash_{name}{EXPORTER})", label)
                        for name, label in queue.items()
                    ),
                    unit="bytes",
                    alerts=("LogstashQueueGrowing",),
                ),
                time_series_panel(
                    "Backpressure",
                    "Share of the time in which the inputs wait for room in the queue. It should be 0.",
                    range_query(
                        f"max by (pipeline) (tidegate_logstash_queue_backpressure{EXPORTER})",
                        "{{pipeline}}",
                    ),
                    unit="percentunit",
                    alerts=("LogstashQueueGrowing",),
                ),
                time_series_panel(
                    "Dead letters",
                    "Bytes of events that Elasticsearch refused (an empty queue has one byte a file), and "
                    "events that not even the dead letters had room for (right).",
                    range_query(dead_letters, "{{pipeline}}"),
                    range_query(dropped, "dropped"),
                    unit="bytes",
                    right_axis={"/^dropped$/": "short"},
                    alerts=("LogstashDeadLetters",),
                ),
            ],
        ),
    ]


def elasticsearch_rows() -> list[PanelRow]:
    """The panels about Elasticsearch's status, disk and documents."""
    status = f"tidegate_elasticsearch_cluster_status{EXPORTER[:-1]},status="
    disk = f"tidegate_elasticsearch_disk_free_bytes{EXPORTER} / tidegate_elasticsearch_disk_bytes{EXPORTER}"
    refused = f"sum(tidegate_elasticsearch_failure_store_documents{EXPORTER}) or vector(0)"
    return [
        PanelRow(
            7,
            [
                state_timeline_panel(
                    "Status",
                    "Green or yellow: it takes events (yellow is what a single node can be). Red: some are "
                    "out of reach.",
                    range_query(f'max({status}"yellow"}}) + 2 * max({status}"red"}})', "cluster"),
                    value_mappings={
                        "0": ("green", "green"),
                        "1": ("yellow", "yellow"),
                        "2": ("red", "red"),
                    },
                    alerts=("ElasticsearchRed", "ElasticsearchUnreachable"),
                ),
                time_series_panel(
                    "Documents of each stream",
                    "What the retention keeps. A step down is an index that has grown too old.",
                    range_query(
                        f"sum by (stream) (tidegate_elasticsearch_documents{EXPORTER})",
                        "{{stream}}",
                    ),
                    unit="short",
                    stacked=True,
                ),
                time_series_panel(
                    "Disk left",
                    "Of each node. From 0.15 on Elasticsearch gives a node no new shards, from 0.05 on it "
                    "takes no more events.",
                    range_query(disk, "{{node}}"),
                    unit="percentunit",
                    soft_max=1,
                    alerts=("ElasticsearchDiskLow",),
                ),
                stat_panel(
                    "Refused documents",
                    "Those in the failure stores of our streams: taken, but not to be found.",
                    range_query(refused, "refused"),
                    unit="short",
                    thresholds=(1,),
                    alerts=("FailureStoreDocuments",),
                ),
            ],
        )
    ]
