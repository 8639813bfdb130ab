"""Metrics of Elasticsearch: its health, its disks, and the documents in data streams and failure stores."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import aiohttp
from prometheus_client.core import GaugeMetricFamily, Metric

from tidegate.exporter.backend import log_failed, log_read
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_client import HttpError, elasticsearch_client
from tidegate.settings import Elasticsearch
from tidegate.store.elasticsearch.templates import STREAMS

STATUSES: Final = ("green", "yellow", "red")
# `.ds-<stream>-<yyyy.mm.dd>-<generation>`; `.fs-…` in a failure store.
_BACKING: Final = re.compile(r"\.[df]s-(?P<stream>.+)-\d{4}\.\d\d\.\d\d-\d{6,}")
MAX_STREAMS: Final = 1000
BY_INDEX: Final = {"by_index": {"terms": {"field": "_index", "size": MAX_STREAMS}}}


async def read_elasticsearch(
    settings: Elasticsearch, session: aiohttp.ClientSession, event_log: EventLog
) -> list[Metric]:
    """Read the metrics. Fails without the health; other metrics that cannot be read are omitted.

    Args:
        settings: the URL, and the login of an account that may monitor it and read the data streams.
        session: the HTTP session.
        event_log: receives the errors of the other metrics.

    Raises:
        HttpError: it does not respond, refuses the login, or is no Elasticsearch.
        SecretFileError: the password cannot be read.
    """
    client = elasticsearch_client(session, settings)
    path = "/_cluster/health"
    try:
        body = await client.get(path)
    except HttpError as error:
        if error.status in {401, 403}:
            file = "store.elasticsearch.password_file"
            raise HttpError(f"{file}: the login of {settings.username!r}: {error}") from error
        raise
    if not isinstance(body, dict) or body.get("status") not in STATUSES:
        raise HttpError(f"the response of {client.shown(path)} has no status of a cluster")
    streams = ",".join(STREAMS.values())
    failed = ",".join(f"{pattern}::failures" for pattern in STREAMS.values())
    search = f"/{failed}/_search?allow_no_indices=true&ignore_unavailable=true"
    others = await asyncio.gather(
        _read(event_log, "disk", client.get("/_nodes/stats/fs"), disk),
        _read(event_log, "data streams", client.get(f"/{streams}/_stats/docs"), documents),
        _read(
            event_log,
            "failure stores",
            client.post(search, {"size": 0, "aggs": BY_INDEX}),
            failures,
        ),
    )
    return [health(body), *(metric for metrics in others for metric in metrics)]


async def _read(
    event_log: EventLog,
    name: str,
    request: Awaitable[Any],
    parse: Callable[[Mapping[str, Any]], list[Metric]],
) -> list[Metric]:
    """The metrics of one request; empty if it fails."""
    source = f"elasticsearch, {name}"
    try:
        metrics = parse(await request)
    except (HttpError, AttributeError, KeyError, TypeError, ValueError) as error:
        log_failed(event_log, source, f"not exported: {error!r}")
        return []
    log_read(event_log, source)
    return metrics


def up(value: float) -> Metric:
    """Whether it responds."""
    return GaugeMetricFamily(
        "tidegate_elasticsearch_up", "Whether Elasticsearch responds and accepts the login.", value
    )


def health(body: Mapping[str, Any]) -> Metric:
    """The metric from `GET /_cluster/health`."""
    family = GaugeMetricFamily(
        "tidegate_elasticsearch_cluster_status",
        "1 for the status that the cluster has (green, yellow, red), else 0.",
        labels=["status"],
    )
    return _filled(family, ((status, float(body.get("status") == status)) for status in STATUSES))


def disk(body: Mapping[str, Any]) -> list[Metric]:
    """The metrics of each node from `GET /_nodes/stats/fs`."""
    totals = [(node["name"], node["fs"]["total"]) for node in body["nodes"].values()]
    free = GaugeMetricFamily(
        "tidegate_elasticsearch_disk_free_bytes",
        "Bytes available to Elasticsearch on its data disk.",
        labels=["node"],
    )
    size = GaugeMetricFamily(
        "tidegate_elasticsearch_disk_bytes", "Size of Elasticsearch's data disk.", labels=["node"]
    )
    return [
        _filled(free, [(node, total["available_in_bytes"]) for node, total in totals]),
        _filled(size, [(node, total["total_in_bytes"]) for node, total in totals]),
    ]


def documents(body: Mapping[str, Any]) -> list[Metric]:
    """The documents of each data stream from `GET /<streams>/_stats/docs`, over all backing indices."""
    counts: Counter[str] = Counter()
    for index, stats in body["indices"].items():
        if found := _BACKING.fullmatch(index):
            counts[found["stream"]] += stats["primaries"]["docs"]["count"]
    family = GaugeMetricFamily(
        "tidegate_elasticsearch_documents", "Documents in a data stream.", labels=["stream"]
    )
    return [_filled(family, sorted(counts.items()))]


def failures(body: Mapping[str, Any]) -> list[Metric]:
    """The documents in the failure store of each data stream that has any, from a search by index."""
    counts: Counter[str] = Counter()
    for bucket in body.get("aggregations", {}).get("by_index", {}).get("buckets", []):
        found = _BACKING.fullmatch(bucket["key"])
        counts[found["stream"] if found else bucket["key"]] += bucket["doc_count"]
    family = GaugeMetricFamily(
        "tidegate_elasticsearch_failure_store_documents",
        "Documents that Elasticsearch rejected and stored in a data stream's failure store.",
        labels=["stream"],
    )
    return [_filled(family, sorted(counts.items()))]


def _filled(family: GaugeMetricFamily, values: Iterable[tuple[str, float]]) -> Metric:
    for label, number in values:
        family.add_metric([label], number)
    return family
