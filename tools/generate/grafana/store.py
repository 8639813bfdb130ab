"""The sections of the dashboard "Pipeline" about Logstash and Elasticsearch."""

from __future__ import annotations

from typing import Final

from tools.generate.grafana.board import Line
from tools.generate.grafana.panels import graph, number, timeline
from tools.generate.grafana.queries import WINDOW, series

EXPORTER: Final = '{job="exporter"}'


def logstash() -> list[Line]:
    """The panels about Logstash's queue, its throughput and its failures."""
    queue = {"queue_bytes": "in the queue", "queue_capacity_bytes": "room"}
    dead_letters = f"sum by (pipeline) (tidegate_logstash_dead_letter_queue_bytes{EXPORTER})"
    dropped = f"sum(increase(tidegate_logstash_dead_letters_dropped_total{EXPORTER}[{WINDOW}]))"
    return [
        Line(
            8,
            [
                graph(
                    "Events through Logstash",
                    "In, filtered and out lie upon each other. Where out stays below in, the queue grows.",
                    series(
                        f"sum by (stage) (rate(tidegate_logstash_events_total{EXPORTER}[{WINDOW}]))",
                        "{{stage}}",
                    ),
                    unit="eps",
                    alerts=("LogstashDown", "ExporterDown"),
                ),
                graph(
                    "Documents, by what became of them",
                    "Non-retryable failures are nearly always events that were there already, sent a second "
                    "time; what goes to the dead letters is not in the store.",
                    series(
                        f"sum by (outcome) (rate(tidegate_logstash_documents_total{EXPORTER}[{WINDOW}]))",
                        "{{outcome}}",
                    ),
                    unit="eps",
                    alerts=("LogstashDeadLetters",),
                ),
                graph(
                    "Repeated bulk requests",
                    "Requests that Elasticsearch refused as a whole; Logstash repeats each until it "
                    "succeeds. While Elasticsearch answers it should be 0.",
                    series(
                        f"sum by (output) (rate(tidegate_logstash_bulk_failures_total{EXPORTER}[{WINDOW}]))",
                        "{{output}}",
                    ),
                    unit="reqps",
                    alerts=("LogstashBatchStuck",),
                ),
            ],
        ),
        Line(
            8,
            [
                graph(
                    "Queue",
                    "What Logstash has acknowledged and not yet delivered, on its disk. When it is "
                    "full, the collector waits.",
                    *(
                        series(f"sum(tidegate_logstash_{name}{EXPORTER})", words)
                        for name, words in queue.items()
                    ),
                    unit="bytes",
                    alerts=("LogstashQueueGrowing",),
                ),
                graph(
                    "Backpressure",
                    "Share of the time in which the inputs wait for room in the queue. It should be 0.",
                    series(
                        f"max by (pipeline) (tidegate_logstash_queue_backpressure{EXPORTER})",
                        "{{pipeline}}",
                    ),
                    unit="percentunit",
                    alerts=("LogstashQueueGrowing",),
                ),
                graph(
                    "Dead letters",
                    "Bytes of events that Elasticsearch refused (an empty queue has one byte a file), and "
                    "events that not even the dead letters had room for (right).",
                    series(dead_letters, "{{pipeline}}"),
                    series(dropped, "dropped"),
                    unit="bytes",
                    right={"/^dropped$/": "short"},
                    alerts=("LogstashDeadLetters",),
                ),
            ],
        ),
    ]


def elasticsearch() -> list[Line]:
    """The panels about Elasticsearch's status, disk and documents."""
    status = f"tidegate_elasticsearch_cluster_status{EXPORTER[:-1]},status="
    disk = f"tidegate_elasticsearch_disk_free_bytes{EXPORTER} / tidegate_elasticsearch_disk_bytes{EXPORTER}"
    refused = f"sum(tidegate_elasticsearch_failure_store_documents{EXPORTER}) or vector(0)"
    return [
        Line(
            7,
            [
                timeline(
                    "Status",
                    "Green or yellow: it takes events (yellow is what a single node can be). Red: some are "
                    "out of reach.",
                    series(f'max({status}"yellow"}}) + 2 * max({status}"red"}})', "cluster"),
                    words={
                        "0": ("green", "green"),
                        "1": ("yellow", "yellow"),
                        "2": ("red", "red"),
                    },
                    alerts=("ElasticsearchRed", "ElasticsearchUnreachable"),
                ),
                graph(
                    "Documents of each stream",
                    "What the retention keeps. A step down is an index that has grown too old.",
                    series(
                        f"sum by (stream) (tidegate_elasticsearch_documents{EXPORTER})",
                        "{{stream}}",
                    ),
                    unit="short",
                    stacked=True,
                ),
                graph(
                    "Disk left",
                    "Of each node. From 0.15 on Elasticsearch gives a node no new shards, from 0.05 on it "
                    "takes no more events.",
                    series(disk, "{{node}}"),
                    unit="percentunit",
                    top=1,
                    alerts=("ElasticsearchDiskLow",),
                ),
                number(
                    "Refused documents",
                    "Those in the failure stores of our streams: taken, but not to be found.",
                    series(refused, "refused"),
                    unit="short",
                    limits=(1,),
                    alerts=("FailureStoreDocuments",),
                ),
            ],
        )
    ]
