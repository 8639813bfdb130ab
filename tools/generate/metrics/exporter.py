"""The metrics of the exporter, about Logstash and Elasticsearch."""

from __future__ import annotations

from typing import Final

from tidegate.rules.metric import Metric

EXPORTER: Final = (
    Metric("tidegate_logstash_up", "gauge", (), "whether Logstash's monitoring API answers"),
    Metric("tidegate_logstash_queue_bytes", "gauge", ("pipeline",), "bytes in its queue"),
    Metric(
        "tidegate_logstash_queue_capacity_bytes",
        "gauge",
        ("pipeline",),
        "capacity of its queue in bytes",
    ),
    Metric("tidegate_logstash_queue_events", "gauge", ("pipeline",), "events in its queue"),
    Metric(
        "tidegate_logstash_queue_backpressure",
        "gauge",
        ("pipeline",),
        "share of time in which its inputs waited for space in the queue, times their number",
    ),
    Metric(
        "tidegate_logstash_events_total",
        "counter",
        ("pipeline", "stage"),
        "events received (`in`), `filtered` and sent (`out`)",
    ),
    Metric(
        "tidegate_logstash_documents_total",
        "counter",
        ("pipeline", "output", "outcome"),
        "documents sent to Elasticsearch: `successes`, `non_retryable_failures` (mostly duplicates sent a "
        "second time), `retryable_failures` (each attempt counts), `dlq_routed` (rejected)",
    ),
    Metric(
        "tidegate_logstash_bulk_failures_total",
        "counter",
        ("pipeline", "output"),
        "bulk requests that failed as a whole; Logstash repeats each until it succeeds",
    ),
    Metric(
        "tidegate_logstash_bulk_responses_total",
        "counter",
        ("pipeline", "output", "code"),
        "Elasticsearch's responses to bulk requests, by HTTP status",
    ),
    Metric(
        "tidegate_logstash_dead_letter_queue_bytes",
        "gauge",
        ("pipeline",),
        "bytes in its dead letter queue; an empty queue has one byte per file",
    ),
    Metric(
        "tidegate_logstash_dead_letter_queue_capacity_bytes",
        "gauge",
        ("pipeline",),
        "maximum of bytes in its dead letter queue; a full one drops events",
    ),
    Metric(
        "tidegate_logstash_dead_letters_dropped_total",
        "counter",
        ("pipeline",),
        "events lost because the dead letter queue was full",
    ),
    Metric(
        "tidegate_elasticsearch_up",
        "gauge",
        (),
        "whether Elasticsearch answers and accepts the login",
    ),
    Metric(
        "tidegate_elasticsearch_cluster_status",
        "gauge",
        ("status",),
        "1 for the status that the cluster has (`green`, `yellow`, `red`), else 0",
    ),
    Metric(
        "tidegate_elasticsearch_disk_free_bytes",
        "gauge",
        ("node",),
        "free bytes on the disk of the node's data",
    ),
    Metric("tidegate_elasticsearch_disk_bytes", "gauge", ("node",), "size of that disk in bytes"),
    Metric("tidegate_elasticsearch_documents", "gauge", ("stream",), "documents in a data stream"),
    Metric(
        "tidegate_elasticsearch_failure_store_documents",
        "gauge",
        ("stream",),
        "documents in its failure store: stored, but not searchable",
    ),
    Metric(
        "tidegate_exporter_alerts_total",
        "counter",
        ("status",),
        "notifications of alerts stored as events",
    ),
)
