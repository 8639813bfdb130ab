"""Tests of the alerts about Logstash and Elasticsearch: series with which each must fire, or must not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.observability_files.watermarks import GIB
from tidegate.rules.pipeline_alerts import PIPELINES
from tools.generate.promtool.case_types import AlertCase, cases

LABELS: Final = 'job="exporter",instance="exporter:9104"'
QUEUE: Final = f'tidegate_logstash_queue_bytes{{{LABELS},pipeline="main"}}'
CAPACITY: Final = f'tidegate_logstash_queue_capacity_bytes{{{LABELS},pipeline="main"}}'
FAILED: Final = (
    "tidegate_elasticsearch_failure_store_documents"
    f'{{{LABELS},stream="logs-tidegate.request-default"}}'
)
FREE: Final = f'tidegate_elasticsearch_disk_free_bytes{{{LABELS},node="elasticsearch"}}'
ELSEWHERE: Final = (
    "this deployment does not have it",
    {'up{job="collector",instance="127.0.0.1:9101"}': "1x40"},
    False,
)


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
        yield from cases(
            alert,
            "2m",
            ("it has been down for two minutes", {series: "1 0x8"}, True),
            ("it was down for one sample", {series: "1x4 0 1x3"}, False),
        )
        yield from cases(alert, "5m", ELSEWHERE)
    alert, labels = "AlertmanagerDown", {"job": "alertmanager", "instance": "alertmanager:1"}
    up = 'up{job="alertmanager",instance="alertmanager:1"}'
    down = ("it has been down for two minutes", {up: "1 0x8"}, True)
    once = ("a single scrape failed", {up: "1x5 0 1x3"}, False)
    yield from cases(alert, "2m", down, once, labels=labels)
    yield from cases(alert, "5m", ELSEWHERE)


def _missing_pipeline() -> Iterator[AlertCase]:
    up = f"tidegate_logstash_up{{{LABELS}}}"
    main, letters = (
        f'tidegate_logstash_events_total{{{LABELS},pipeline="{name}",stage="in"}}'
        for name in PIPELINES
    )
    for name, other in (("main", letters), ("dead-letters", main)):
        yield from cases(
            "LogstashPipelineMissing",
            "9m",
            (f"{name} never ran", {up: "1x40", other: "0x40"}, True),
            # 3 minutes of each start, then a minute until the next one.
            (f"{name}: restarts in vain", {up: "1x12 0x3 1x12 0x3 1x12", other: "0x40"}, True),
            labels={"pipeline": name},
        )
    yield from cases(
        "LogstashPipelineMissing",
        "9m",
        ("both run", {up: "1x40", main: "0x40", letters: "0x40"}, False),
        ("Logstash is down", {up: "1x8 0x40", main: "0x8 _x40", letters: "0x8 _x40"}, False),
        ELSEWHERE,
    )


def _queue() -> Iterator[AlertCase]:
    alert, labels = "LogstashQueueGrowing", {"pipeline": "main"}
    whole = {CAPACITY: "1000x80"}
    half = ("it is over half full", {QUEUE: "600x80", **whole}, True)
    yield from cases(alert, "10m", half, labels=labels)
    yield from cases(
        alert,
        "15m",
        ("it will be full in an hour", {QUEUE: "100+5x80", **whole}, True),
        ("it grows slowly", {QUEUE: "110+0.5x80", **whole}, False),
        ("it is nearly empty", {QUEUE: "0+1x80", **whole}, False),
        ("it drains", {QUEUE: "490-4x80", **whole}, False),
        labels=labels,
    )
    yield from cases(alert, "5m", ELSEWHERE)


def _stuck() -> Iterator[AlertCase]:
    alert, labels = "LogstashBatchStuck", {"pipeline": "main", "output": "events"}
    of = f'{LABELS},pipeline="main",output="events"'
    failures = f"tidegate_logstash_bulk_failures_total{{{of}}}"
    repeated = f'tidegate_logstash_documents_total{{{of},outcome="retryable_failures"}}'
    up = f"tidegate_elasticsearch_up{{{LABELS}}}"
    none = {failures: "0x80", repeated: "0x80", up: "1x80"}
    yield from cases(
        alert,
        "15m",
        ("a bulk request is rejected repeatedly", {**none, failures: "0x4 0+3x76"}, True),
        ("the account may not write", {**none, repeated: "0x4 0+3x76"}, True),
        ("nothing fails", none, False),
        labels=labels,
    )
    minute = {**none, failures: "0x20 0+3x4 12x55"}
    yield from cases(alert, "10m", ("it failed for a minute", minute, False))
    away = {**none, failures: "0+3x80", up: "0x80"}
    yield from cases(alert, "15m", ("Elasticsearch is unavailable", away, False))
    yield from cases(alert, "5m", ELSEWHERE)


def _dead_letters() -> Iterator[AlertCase]:
    size, capacity = (
        f'tidegate_logstash_dead_letter_queue_{name}{{{LABELS},pipeline="main"}}'
        for name in ("bytes", "capacity_bytes")
    )
    whole = {capacity: "1000x40"}
    yield from cases(
        "LogstashDeadLetterQueueFilling",
        "5m",
        ("it is over half full", {size: "600x40", **whole}, True),
        ("it is nearly empty", {size: "9x40", **whole}, False),
        ELSEWHERE,
        labels={"pipeline": "main"},
    )
    alert = "LogstashDeadLetters"
    documents = f'tidegate_logstash_documents_total{{{LABELS},pipeline="main",'
    refused = f'{documents}output="events",outcome="dlq_routed"}}'
    misled = f'{documents}output="dead_letters",outcome="successes"}}'
    delivered = f'{documents}output="events",outcome="successes"}}'
    dropped = f'tidegate_logstash_dead_letters_dropped_total{{{LABELS},pipeline="main"}}'
    none = {refused: "0x40", misled: "0x40"}
    yield from cases(
        alert,
        "8m",
        ("Elasticsearch rejects an event", {**none, refused: "0x20 1x20"}, True),
        ("a line is not an event", {**none, misled: "0x20 1x20"}, True),
        ("events are delivered", {**none, delivered: "0+100x40"}, False),
    )
    long_ago = ("events were rejected long ago", {**none, refused: "7x100"}, False)
    yield from cases(alert, "20m", long_ago)
    yield from cases(alert, "5m", ELSEWHERE)
    yield from cases(
        "LogstashEventsLost",
        "8m",
        ("the dead letter queue is full", {dropped: "0x20 1x20"}, True),
        ("none is dropped", {dropped: "7x40"}, False),
        ELSEWHERE,
        labels={"pipeline": "main"},
    )


def _elasticsearch() -> Iterator[AlertCase]:
    alert, up = "FailureStoreDocuments", f"tidegate_elasticsearch_up{{{LABELS}}}"
    yield from cases(alert, "5m", ("the first document fails", {FAILED: "_x10 1x10"}, True))
    yield from cases(alert, "78m", ("one more fails", {FAILED: "7x300 8x20"}, True))
    yield from cases(alert, "75m", ("they failed long ago", {FAILED: "7x320"}, False))
    yield from cases(alert, "5m", ("none fails", {up: "1x20"}, False))
    red, green = (
        f'tidegate_elasticsearch_cluster_status{{{LABELS},status="{status}"}}'
        for status in ("red", "green")
    )
    yield from cases(
        "ElasticsearchRed",
        "2m",
        ("it has been red for two minutes", {red: "0 1x8"}, True),
        ("it is green", {red: "0x8", green: "1x8"}, False),
    )
    yield from cases("ElasticsearchRed", "5m", ELSEWHERE)
    free = (
        ("7 GiB are free", {FREE: f"{7 * GIB}x40"}, True),
        ("9 GiB are free", {FREE: f"{9 * GIB}x40"}, False),
    )
    yield from cases("ElasticsearchDiskLow", "8m", *free, labels={"node": "elasticsearch"})
    yield from cases("ElasticsearchDiskLow", "5m", ELSEWHERE)
