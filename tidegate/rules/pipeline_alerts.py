"""The alerts about the event pipeline: Logstash, Elasticsearch, their exporter, Alertmanager.

Their metrics exist in the Compose deployment only; elsewhere the alerts are silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.observability_files.watermarks import GIB, read_watermarks
from tidegate.rules.alert import Alert
from tidegate.rules.promql import number

# Ratio of the queue's capacity.
QUEUE_SHARE: Final = 0.5
# Below this ratio of its capacity, the growth of a queue raises no alert.
QUEUE_FLOOR: Final = 0.1
# In two minutes. Logstash repeats a failed bulk request after 2 s, 4 s, and then each 5 s, so one that is
# stuck fails more than twenty times.
REPEATED: Final = 6


def pipeline_alerts() -> Iterator[Alert]:
    """Every alert about the event pipeline."""
    yield from _logstash()
    yield from _elasticsearch()
    yield Alert(
        "ExporterDown",
        'up{job="exporter"} == 0',
        60,
        "warning",
        "The exporter does not answer",
        "Its metrics cannot be read at {{ $labels.instance }}: there are no alerts about Logstash and "
        "Elasticsearch, and alerts are not stored as events.",
    )
    yield Alert(
        "AlertmanagerDown",
        'up{job="alertmanager"} == 0',
        60,
        "warning",
        "Alertmanager does not answer",
        "Its metrics cannot be read at {{ $labels.instance }}: alerts are shown by Prometheus and Grafana, "
        "but no notification is sent.",
    )


def _logstash() -> Iterator[Alert]:
    yield Alert(
        "LogstashDown",
        "max(tidegate_logstash_up) == 0",
        60,
        "warning",
        "Logstash does not answer",
        "Its monitoring API does not answer. If it is down, events stay in their files and cannot be "
        "searched yet.",
    )
    size, capacity = "tidegate_logstash_queue_bytes", "tidegate_logstash_queue_capacity_bytes"
    yield Alert(
        "LogstashQueueGrowing",
        f"max by (pipeline) ({size} / {capacity}) > {QUEUE_SHARE}\n"
        "or max by (pipeline) (\n"
        f"  {size} / {capacity} > {QUEUE_FLOOR}\n"
        f"  and predict_linear({size}[10m], 3600) > {capacity}\n"
        ")",
        120,
        "warning",
        "Logstash's queue grows",
        f"The queue of the pipeline {{{{ $labels.pipeline }}}} is more than {_percent(QUEUE_SHARE)} full, or "
        "will be full within an hour: Elasticsearch accepts fewer events than arrive.",
    )
    yield Alert(
        "LogstashBatchStuck",
        "(\n"
        "  sum by (pipeline, output) (increase(tidegate_logstash_bulk_failures_total[2m])) > "
        f"{REPEATED}\n"
        "  or sum by (pipeline, output) (increase(tidegate_logstash_documents_total"
        f'{{outcome="retryable_failures"}}[2m])) > {REPEATED}\n'
        ")\n"
        "and on () max(tidegate_elasticsearch_up) == 1",
        300,
        "warning",
        "Logstash repeats a request that Elasticsearch rejects",
        "The output {{ $labels.output }} of the pipeline {{ $labels.pipeline }} has failed for five minutes "
        "though Elasticsearch answers. The events of that batch are not stored, and a second such batch "
        "stops the pipeline.",
    )
    yield Alert(
        "LogstashDeadLetters",
        'sum(increase(tidegate_logstash_documents_total{outcome="dlq_routed"}[15m])) > 0\n'
        "or sum(increase(tidegate_logstash_documents_total"
        '{output="dead_letters",outcome="successes"}[15m])) > 0\n'
        "or sum(increase(tidegate_logstash_dead_letters_dropped_total[15m])) > 0",
        0,
        "warning",
        "Events did not reach their data stream",
        "Logstash received lines that are not valid events, or Elasticsearch rejected some: they are stored "
        "as text in logs-tidegate.dead_letter-*.",
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
        "Elasticsearch put events into a failure store",
        "Within the last hour it stored events that contradict the mapping: they cannot be searched.",
    )
    yield Alert(
        "ElasticsearchUnreachable",
        "max(tidegate_elasticsearch_up) == 0",
        60,
        "critical",
        "Elasticsearch does not answer",
        "The exporter cannot reach it: events cannot be searched, and new ones wait in Logstash's queue and "
        "in their files.",
    )
    yield Alert(
        "ElasticsearchRed",
        'max(tidegate_elasticsearch_cluster_status{status="red"}) == 1',
        60,
        "critical",
        "Elasticsearch is red",
        "Some events cannot be searched, and some streams accept no new ones.",
    )
    yield Alert(
        "ElasticsearchDiskLow",
        f"min by (node) (tidegate_elasticsearch_disk_free_bytes) < {2 * marks.low}",
        300,
        "warning",
        "Elasticsearch's disk fills up",
        f"The node {{{{ $labels.node }}}} has less than {low} free; below {high} it creates no index, below "
        f"{flood_stage} its indices are read-only.",
    )


def _percent(share: float) -> str:
    return f"{number(share * 100)} %"
