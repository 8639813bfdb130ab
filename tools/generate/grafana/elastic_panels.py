"""Logstash and Elasticsearch, two sections of the dashboard "Pipeline"."""

from __future__ import annotations

from typing import Final

from tidegate.observability_files.watermarks import GIB, read_watermarks
from tools.generate.grafana.dashboard import PanelRow
from tools.generate.grafana.panels import stat_panel, state_timeline_panel, time_series_panel
from tools.generate.grafana.queries import WINDOW, range_query

EXPORTER: Final = '{job="exporter"}'


def logstash_rows() -> list[PanelRow]:
    """The panels about Logstash's queue, its throughput and its failures."""
    queue = {"queue_bytes": "used", "queue_capacity_bytes": "capacity"}
    dead_letters = f"sum by (pipeline) (tidegate_logstash_dead_letter_queue_bytes{EXPORTER})"
    dropped = f"sum(increase(tidegate_logstash_dead_letters_dropped_total{EXPORTER}[{WINDOW}]))"
    return [
        PanelRow(
            8,
            [
                time_series_panel(
                    "Logstash throughput",
                    "Events received, filtered and sent. The lines normally coincide; while "
                    "out is below in, the queue grows.",
                    range_query(
                        f"sum by (stage) (rate(tidegate_logstash_events_total{EXPORTER}[{WINDOW}]))",
                        "{{stage}}",
                    ),
                    unit="eps",
                    alerts=("LogstashDown", "LogstashPipelineMissing", "ExporterDown"),
                ),
                time_series_panel(
                    "Documents by outcome",
                    "Non-retryable failures are almost always events that are stored already "
                    "and were sent a second time. Documents routed to the dead letter queue "
                    "are not in the store.",
                    range_query(
                        f"sum by (outcome) (rate(tidegate_logstash_documents_total{EXPORTER}[{WINDOW}]))",
                        "{{outcome}}",
                    ),
                    unit="eps",
                    alerts=("LogstashDeadLetters",),
                ),
                time_series_panel(
                    "Failed bulk requests",
                    "Bulk requests that Elasticsearch rejected as a whole; Logstash repeats "
                    "each until it succeeds. Should be 0 while Elasticsearch is available.",
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
                    "Logstash queue",
                    "Events that Logstash acknowledged but did not deliver yet, on its disk. "
                    "When the queue is full, the collector waits.",
                    *(
                        range_query(f"sum(tidegate_logstash_{name}{EXPORTER})", label)
                        for name, label in queue.items()
                    ),
                    unit="bytes",
                    alerts=("LogstashQueueGrowing",),
                ),
                time_series_panel(
                    "Backpressure",
                    "Fraction of time in which the inputs wait for space in the queue. "
                    "Should be 0.",
                    range_query(
                        f"max by (pipeline) (tidegate_logstash_queue_backpressure{EXPORTER})",
                        "{{pipeline}}",
                    ),
                    unit="percentunit",
                    alerts=("LogstashQueueGrowing",),
                ),
                time_series_panel(
                    "Dead letters",
                    "Bytes of events that Elasticsearch rejected (an empty queue has one "
                    "byte per file), and events dropped because the dead letter queue was "
                    "full (right axis).",
                    range_query(dead_letters, "{{pipeline}}"),
                    range_query(dropped, "dropped"),
                    unit="bytes",
                    right_axis={"/^dropped$/": "short"},
                    alerts=("LogstashDeadLetters", "LogstashDeadLetterQueueFilling"),
                ),
            ],
        ),
    ]


def elasticsearch_rows() -> list[PanelRow]:
    """The panels about Elasticsearch's status, disk and documents."""
    marks = read_watermarks()
    status = f"tidegate_elasticsearch_cluster_status{EXPORTER[:-1]},status="
    disk = f"tidegate_elasticsearch_disk_free_bytes{EXPORTER} / tidegate_elasticsearch_disk_bytes{EXPORTER}"
    refused = f"sum(tidegate_elasticsearch_failure_store_documents{EXPORTER}) or vector(0)"
    return [
        PanelRow(
            7,
            [
                state_timeline_panel(
                    "Cluster status",
                    "Green or yellow: events are accepted (a single node can be yellow). "
                    "Red: some data are unavailable.",
                    range_query(f'max({status}"yellow"}}) + 2 * max({status}"red"}})', "cluster"),
                    value_mappings={
                        "0": ("green", "green"),
                        "1": ("yellow", "yellow"),
                        "2": ("red", "red"),
                    },
                    alerts=("ElasticsearchRed", "ElasticsearchUnreachable"),
                ),
                time_series_panel(
                    "Documents by data stream",
                    "Documents within the retention. A step down is the deletion of an "
                    "expired index.",
                    range_query(
                        f"sum by (stream) (tidegate_elasticsearch_documents{EXPORTER})",
                        "{{stream}}",
                    ),
                    unit="short",
                    stacked=True,
                ),
                time_series_panel(
                    "Free disk space",
                    f"Free fraction of each node's disk. Below {marks.low // GIB} GiB a node gets no new "
                    f"shards, below {marks.flood_stage // GIB} GiB its indices are read-only.",
                    range_query(disk, "{{node}}"),
                    unit="percentunit",
                    soft_max=1,
                    alerts=("ElasticsearchDiskLow",),
                ),
                stat_panel(
                    "Documents in failure stores",
                    "Documents in the failure stores of Tidegate's data streams: stored, but "
                    "not searchable.",
                    range_query(refused, "rejected"),
                    unit="short",
                    thresholds=(1,),
                    alerts=("FailureStoreDocuments",),
                ),
            ],
        )
    ]
