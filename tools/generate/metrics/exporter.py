"""The metrics of the exporter: what it tells of Logstash and Elasticsearch."""

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
        "bytes that its queue may hold; then it takes no more",
    ),
    Metric("tidegate_logstash_queue_events", "gauge", ("pipeline",), "events in its queue"),
    Metric(
        "tidegate_logstash_queue_backpressure",
        "gauge",
        ("pipeline",),
        "share of time in which its inputs waited for room in the queue, times their number",
    ),
    Metric(
        "tidegate_logstash_events_total",
        "counter",
        ("pipeline", "stage"),
        "events that came `in`, were `filtered`, went `out`",
    ),
    Metric(
        "tidegate_logstash_documents_total",
        "counter",
        ("pipeline", "output", "outcome"),
        "documents given to Elasticsearch: `successes`, `non_retryable_failures` (most are there already, "
        "sent a second time), `retryable_failures` (each try counts), `dlq_routed` (refused)",
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
        "bytes in its dead letter queue; an empty one has one a file",
    ),
    Metric(
        "tidegate_logstash_dead_letters_dropped_total",
        "counter",
        ("pipeline",),
        "events that the dead letter queue had no room for: they are lost",
    ),
    Metric(
        "tidegate_elasticsearch_up", "gauge", (), "whether Elasticsearch answers and lets us in"
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
        "bytes that it may still use on the disk of its data",
    ),
    Metric("tidegate_elasticsearch_disk_bytes", "gauge", ("node",), "size of that disk"),
    Metric("tidegate_elasticsearch_documents", "gauge", ("stream",), "documents in a data stream"),
    Metric(
        "tidegate_elasticsearch_failure_store_documents",
        "gauge",
        ("stream",),
        "documents in its failure store: taken, but not searchable",
    ),
    Metric(
        "tidegate_exporter_alerts_total",
        "counter",
        ("status",),
        "notifications of alerts written down as events",
    ),
)
