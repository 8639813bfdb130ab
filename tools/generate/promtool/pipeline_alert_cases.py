"""Tests of the alerts about Logstash and Elasticsearch: series with which each must fire, or must not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.observability_files.watermarks import GIB
from tools.generate.promtool.case_types import AlertCase

LABELS: Final = 'job="exporter",instance="exporter:9104"'
QUEUE: Final = f'tidegate_logstash_queue_bytes{{{LABELS},pipeline="main"}}'
CAPACITY: Final = f'tidegate_logstash_queue_capacity_bytes{{{LABELS},pipeline="main"}}'
FAILED: Final = (
    "tidegate_elasticsearch_failure_store_documents"
    f'{{{LABELS},stream="logs-tidegate.request-default"}}'
)
FREE: Final = f'tidegate_elasticsearch_disk_free_bytes{{{LABELS},node="elasticsearch"}}'
ELSEWHERE: Final = {'up{job="collector",instance="127.0.0.1:9101"}': "1x40"}


def pipeline_alert_cases() -> Iterator[AlertCase]:
    """Every test of an alert about the event pipeline."""
    yield from _ups()
    yield from _missing_pipeline()
    yield from _queue()
    yield from _stuck()
    yield from _dead_letters()
    yield from _elasticsearch()


def _ups() -> Iterator[AlertCase]:
    for alert, series in (
        ("LogstashDown", f"tidegate_logstash_up{{{LABELS}}}"),
        ("ElasticsearchUnreachable", f"tidegate_elasticsearch_up{{{LABELS}}}"),
    ):
        yield AlertCase(
            alert, "it has been down for two minutes", {series: "1 0x8"}, "2m", fires=True
        )
        yield AlertCase(
            alert, "it was down for one sample", {series: "1x4 0 1x3"}, "2m", fires=False
        )
        yield AlertCase(alert, "this deployment does not have it", ELSEWHERE, "5m", fires=False)
    alert, labels = "AlertmanagerDown", {"job": "alertmanager", "instance": "alertmanager:1"}
    up = 'up{job="alertmanager",instance="alertmanager:1"}'
    yield AlertCase(alert, "it has been down for two minutes", {up: "1 0x8"}, "2m", True, labels)
    yield AlertCase(alert, "a single scrape failed", {up: "1x5 0 1x3"}, "2m", fires=False)
    yield AlertCase(alert, "this deployment does not have it", ELSEWHERE, "5m", fires=False)


def _missing_pipeline() -> Iterator[AlertCase]:
    alert = "LogstashPipelineMissing"
    up = f"tidegate_logstash_up{{{LABELS}}}"
    events = f'tidegate_logstash_events_total{{{LABELS},pipeline="main",stage="in"}}'
    yield AlertCase(alert, "it never ran", {up: "1x40"}, "9m", fires=True)
    # 3 minutes of each start, then a minute until the next one.
    restarted = "1x12 0x3 1x12 0x3 1x12"
    yield AlertCase(alert, "each restart is in vain", {up: restarted}, "9m", fires=True)
    yield AlertCase(alert, "it runs", {up: "1x40", events: "0x40"}, "9m", fires=False)
    yield AlertCase(
        alert, "Logstash is down", {up: "1x8 0x40", events: "0x8 _x40"}, "9m", fires=False
    )
    yield AlertCase(alert, "this deployment does not have it", ELSEWHERE, "9m", fires=False)


def _queue() -> Iterator[AlertCase]:
    alert, labels = "LogstashQueueGrowing", {"pipeline": "main"}
    whole = {CAPACITY: "1000x80"}
    yield AlertCase(alert, "it is over half full", {QUEUE: "600x80", **whole}, "10m", True, labels)
    yield AlertCase(
        alert, "it will be full in an hour", {QUEUE: "100+5x80", **whole}, "15m", True, labels
    )
    yield AlertCase(alert, "it grows slowly", {QUEUE: "110+0.5x80", **whole}, "15m", fires=False)
    yield AlertCase(alert, "it is nearly empty", {QUEUE: "0+1x80", **whole}, "15m", fires=False)
    yield AlertCase(alert, "it drains", {QUEUE: "490-4x80", **whole}, "15m", fires=False)
    yield AlertCase(alert, "this deployment does not have it", ELSEWHERE, "5m", fires=False)


def _stuck() -> Iterator[AlertCase]:
    alert, labels = "LogstashBatchStuck", {"pipeline": "main", "output": "events"}
    of = f'{LABELS},pipeline="main",output="events"'
    failures = f"tidegate_logstash_bulk_failures_total{{{of}}}"
    repeated = f'tidegate_logstash_documents_total{{{of},outcome="retryable_failures"}}'
    up = f"tidegate_elasticsearch_up{{{LABELS}}}"
    none = {failures: "0x80", repeated: "0x80", up: "1x80"}
    for scenario, series in (
        ("a bulk request is rejected repeatedly", failures),
        ("the account may not write", repeated),
    ):
        yield AlertCase(alert, scenario, {**none, series: "0x4 0+3x76"}, "15m", True, labels)
    yield AlertCase(alert, "nothing fails", none, "15m", fires=False)
    yield AlertCase(
        alert, "it failed for a minute", {**none, failures: "0x20 0+3x4 12x55"}, "10m", fires=False
    )
    yield AlertCase(
        alert,
        "Elasticsearch is unavailable",
        {**none, failures: "0+3x80", up: "0x80"},
        "15m",
        fires=False,
    )
    yield AlertCase(alert, "this deployment does not have it", ELSEWHERE, "5m", fires=False)


def _dead_letters() -> Iterator[AlertCase]:
    alert, labels = "LogstashDeadLetterQueueFilling", {"pipeline": "main"}
    size, capacity = (
        f'tidegate_logstash_dead_letter_queue_{name}{{{LABELS},pipeline="main"}}'
        for name in ("bytes", "capacity_bytes")
    )
    whole = {capacity: "1000x40"}
    yield AlertCase(alert, "it is over half full", {size: "600x40", **whole}, "5m", True, labels)
    yield AlertCase(alert, "it is nearly empty", {size: "9x40", **whole}, "5m", fires=False)
    yield AlertCase(alert, "this deployment does not have it", ELSEWHERE, "5m", fires=False)

    alert = "LogstashDeadLetters"
    documents = f'tidegate_logstash_documents_total{{{LABELS},pipeline="main",'
    refused = f'{documents}output="events",outcome="dlq_routed"}}'
    misled = f'{documents}output="dead_letters",outcome="successes"}}'
    delivered = f'{documents}output="events",outcome="successes"}}'
    dropped = f'tidegate_logstash_dead_letters_dropped_total{{{LABELS},pipeline="main"}}'
    none = {refused: "0x40", misled: "0x40", dropped: "0x40"}
    for scenario, series in (
        ("Elasticsearch rejects an event", refused),
        ("a line is not an event", misled),
        ("the dead letter queue is full", dropped),
    ):
        yield AlertCase(alert, scenario, {**none, series: "0x20 1x20"}, "8m", fires=True)
    yield AlertCase(
        alert, "events are delivered", {**none, delivered: "0+100x40"}, "8m", fires=False
    )
    yield AlertCase(
        alert, "events were rejected long ago", {**none, refused: "7x100"}, "20m", fires=False
    )
    yield AlertCase(alert, "this deployment does not have it", ELSEWHERE, "5m", fires=False)


def _elasticsearch() -> Iterator[AlertCase]:
    alert = "FailureStoreDocuments"
    yield AlertCase(alert, "the first document fails", {FAILED: "_x10 1x10"}, "5m", fires=True)
    yield AlertCase(alert, "one more fails", {FAILED: "7x300 8x20"}, "78m", fires=True)
    yield AlertCase(alert, "they failed long ago", {FAILED: "7x320"}, "75m", fires=False)
    yield AlertCase(
        alert, "none fails", {f"tidegate_elasticsearch_up{{{LABELS}}}": "1x20"}, "5m", False
    )

    alert = "ElasticsearchRed"
    red, green = (
        f'tidegate_elasticsearch_cluster_status{{{LABELS},status="{status}"}}'
        for status in ("red", "green")
    )
    yield AlertCase(alert, "it has been red for two minutes", {red: "0 1x8"}, "2m", fires=True)
    yield AlertCase(alert, "it is green", {red: "0x8", green: "1x8"}, "2m", fires=False)
    yield AlertCase(alert, "this deployment does not have it", ELSEWHERE, "5m", fires=False)

    alert, labels = "ElasticsearchDiskLow", {"node": "elasticsearch"}
    yield AlertCase(alert, "7 GiB are free", {FREE: f"{7 * GIB}x40"}, "8m", True, labels)
    yield AlertCase(alert, "9 GiB are free", {FREE: f"{9 * GIB}x40"}, "8m", fires=False)
    yield AlertCase(alert, "this deployment does not have it", ELSEWHERE, "5m", fires=False)
