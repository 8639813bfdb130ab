"""The alerts about the event pipeline: collector, Logstash, Elasticsearch, their exporter, Alertmanager.

But for the collector's, their metrics exist in the Compose deployment only; elsewhere the alerts are silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.observability_files.watermarks import GIB, read_watermarks
from tidegate.rules.alert import Alert
from tidegate.rules.promql import down, percent

LAG_SECONDS: Final = 30
# Those of observability/logstash/pipelines.yml.
PIPELINES: Final = ("main", "dead-letters")
# Fraction of the capacity of a queue above which the alert fires.
QUEUE_RATIO: Final = 0.5
# Fraction of the capacity below which the growth of a queue is ignored.
MIN_QUEUE_RATIO: Final = 0.1
# Failures within two minutes. Logstash retries a failed bulk request after 2 s, 4 s, and then every 5 s, so a
# stuck one fails more than twenty times.
MAX_FAILURES: Final = 6


def pipeline_alerts() -> Iterator[Alert]:
    """Return the alerts about the event pipeline."""
    yield from _collector()
    yield from _logstash()
    yield from _elasticsearch()
    yield Alert(
        "ExporterDown",
        down("exporter"),
        60,
        "warning",
        "The exporter does not respond",
        "Prometheus cannot scrape it, or finds none: there are no alerts about Logstash and Elasticsearch, "
        "and alerts are not stored as events.",
    )
    yield Alert(
        "AlertmanagerDown",
        'up{job="alertmanager"} == 0',
        60,
        "warning",
        "Alertmanager does not respond",
        "Prometheus cannot scrape {{ $labels.instance }}: Prometheus and Grafana show alerts, but no "
        "notifications are sent.",
    )


def _collector() -> Iterator[Alert]:
    yield Alert(
        "CollectorDown",
        down("collector"),
        60,
        "warning",
        "The collector does not respond",
        "Prometheus cannot scrape it, or finds none: new events stay in their files and cannot be searched "
        "yet.",
    )
    yield Alert(
        "CollectorSinkDown",
        'min(tidegate_collector_sink_up{job="collector"}) == 0',
        60,
        "warning",
        "The collector cannot deliver events",
        "The store or Logstash does not accept events; they stay in their files until it does.",
    )
    yield Alert(
        "CollectorLag",
        f'max(tidegate_collector_lag_seconds{{job="collector"}}) > {LAG_SECONDS}',
        120,
        "warning",
        "Events reach the store late",
        f"The oldest undelivered event is more than {LAG_SECONDS} s old.",
    )
    yield Alert(
        "CollectorQuarantine",
        'sum(increase(tidegate_collector_quarantined_total{job="collector"}[5m])) > 0',
        0,
        "warning",
        "The collector quarantined lines",
        "Lines of an event file are not valid events, or the store rejects them: they cannot be searched.",
    )
    yield Alert(
        "CollectorEventsLost",
        'sum(increase(tidegate_collector_lost_bytes_total{job="collector"}[5m])) > 0',
        0,
        "critical",
        "Events were lost before they were delivered",
        "Somebody deleted, cut or replaced event files that contained undelivered events.",
    )
    yield Alert(
        "CollectorStoreDamaged",
        'sum(increase(tidegate_collector_store_damages_total{job="collector"}[5m])) > 0',
        0,
        "critical",
        "The embedded store was damaged or deleted",
        "The collector set the damaged part aside, and delivers the event files that still exist again.",
    )


def _logstash() -> Iterator[Alert]:
    yield Alert(
        "LogstashDown",
        "max(tidegate_logstash_up) == 0",
        60,
        "warning",
        "Logstash does not respond",
        "Its monitoring API does not respond. If Logstash is down, new events stay in their files and cannot "
        "be searched yet.",
    )
    runs, events = "max(max_over_time(tidegate_logstash_up[5m]))", "tidegate_logstash_events_total"
    yield Alert(
        "LogstashPipelineMissing",
        "\nor ".join(
            f'(label_replace({runs}, "pipeline", "{name}", "", "") == 1\n'
            f'  unless on () max_over_time({events}{{pipeline="{name}",stage="in"}}[1m]))'
            for name in PIPELINES
        ),
        360,
        "warning",
        "Logstash runs without one of its pipelines",
        "Its monitoring API responds, but the pipeline {{ $labels.pipeline }} does not run. Without main new "
        "events stay in their files; without dead-letters what Elasticsearch rejects stays in a queue that "
        "drops events when it is full.",
    )
    size, capacity = "tidegate_logstash_queue_bytes", "tidegate_logstash_queue_capacity_bytes"
    yield Alert(
        "LogstashQueueGrowing",
        f"max by (pipeline) ({size} / {capacity}) > {QUEUE_RATIO}\n"
        "or max by (pipeline) (\n"
        f"  {size} / {capacity} > {MIN_QUEUE_RATIO}\n"
        f"  and predict_linear({size}[10m], 3600) > {capacity}\n"
        ")",
        120,
        "warning",
        "Logstash's queue is growing",
        f"The queue of the pipeline {{{{ $labels.pipeline }}}} is more than {percent(QUEUE_RATIO)} full, or "
        "will be full within an hour: Elasticsearch accepts fewer events than arrive.",
    )
    yield Alert(
        "LogstashBatchStuck",
        "(\n"
        "  sum by (pipeline, output) (increase(tidegate_logstash_bulk_failures_total[2m])) > "
        f"{MAX_FAILURES}\n"
        "  or sum by (pipeline, output) (increase(tidegate_logstash_documents_total"
        f'{{outcome="retryable_failures"}}[2m])) > {MAX_FAILURES}\n'
        ")\n"
        "and on () max(tidegate_elasticsearch_up) == 1",
        300,
        "warning",
        "Logstash retries a request that Elasticsearch rejects",
        "The output {{ $labels.output }} of the pipeline {{ $labels.pipeline }} has failed for five minutes, "
        "although Elasticsearch responds. The events of this batch are not stored, and a second such batch "
        "stops the pipeline.",
    )
    yield Alert(
        "LogstashDeadLetterQueueFilling",
        "max by (pipeline) (tidegate_logstash_dead_letter_queue_bytes\n"
        f"  / tidegate_logstash_dead_letter_queue_capacity_bytes) > {QUEUE_RATIO}",
        120,
        "warning",
        "Logstash's dead letter queue is filling",
        f"The dead letter queue of the pipeline {{{{ $labels.pipeline }}}} is more than "
        f"{percent(QUEUE_RATIO)} full: when it is full, events that Elasticsearch rejects are lost.",
    )
    yield Alert(
        "LogstashDeadLetters",
        'sum(increase(tidegate_logstash_documents_total{outcome="dlq_routed"}[15m])) > 0\n'
        "or sum(increase(tidegate_logstash_documents_total"
        '{output="dead_letters",outcome="successes"}[15m])) > 0',
        0,
        "warning",
        "Events were not stored in their data stream",
        "Logstash received lines that are not valid events, or Elasticsearch rejected some: they are stored "
        "as text in logs-tidegate.dead_letter-*.",
    )
    yield Alert(
        "LogstashEventsLost",
        "sum by (pipeline) (increase(tidegate_logstash_dead_letters_dropped_total[15m])) > 0",
        0,
        "critical",
        "Logstash lost events",
        "The dead letter queue of the pipeline {{ $labels.pipeline }} was full: events that Elasticsearch "
        "rejected were dropped.",
    )


def _elasticsearch() -> Iterator[Alert]:
    failed = "tidegate_elasticsearch_failure_store_documents"
    marks = read_watermarks()
    low, high, flood_stage = (
        f"{size // GIB} GiB" for size in (2 * marks.low, marks.high, marks.flood_stage)
    )
    yield Alert(
        "FailureStoreDocuments",
        f"sum({failed}) > (sum({failed} offset 1h) or vector(0))",
        0,
        "warning",
        "Elasticsearch stored events in a failure store",
        "Within the last hour it received events that conflict with the mapping: they cannot be searched.",
    )
    yield Alert(
        "ElasticsearchUnreachable",
        "max(tidegate_elasticsearch_up) == 0",
        60,
        "critical",
        "Elasticsearch does not respond",
        "The exporter cannot reach it: events cannot be searched, and new ones wait in Logstash's queue and "
        "in their files.",
    )
    yield Alert(
        "ElasticsearchRed",
        'max(tidegate_elasticsearch_cluster_status{status="red"}) == 1',
        60,
        "critical",
        "The status of Elasticsearch is red",
        "Some events cannot be searched, and some data streams accept no new events.",
    )
    yield Alert(
        "ElasticsearchDiskLow",
        f"min by (node) (tidegate_elasticsearch_disk_free_bytes) < {2 * marks.low}",
        300,
        "warning",
        "Elasticsearch's disk is almost full",
        f"The node {{{{ $labels.node }}}} has less than {low} of free disk space; below {high} it creates no "
        f"index, and below {flood_stage} its indices are read-only.",
    )
