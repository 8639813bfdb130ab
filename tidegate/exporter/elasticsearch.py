"""Metrics of Elasticsearch: its health, its disks, and the documents in data streams and failure stores."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from elastic_transport import ObjectApiResponse, TransportError
from elasticsearch import ApiError, AsyncElasticsearch
from prometheus_client.core import GaugeMetricFamily, Metric

from tidegate.exporter.backend import BackendError, log_failed, log_read
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.secret_files import SecretFileError, read_login
from tidegate.settings import Elasticsearch as ElasticsearchSettings
from tidegate.store.elasticsearch.authorities import authority_options
from tidegate.store.elasticsearch.templates import STREAMS

STATUSES: Final = ("green", "yellow", "red")
# `.ds-<stream>-<yyyy.mm.dd>-<generation>`; `.fs-…` in a failure store.
_BACKING = re.compile(r"\.[df]s-(?P<stream>.+)-\d{4}\.\d\d\.\d\d-\d{6,}")
MAX_STREAMS: Final = 1000
_LOGIN_REFUSED: Final = frozenset({401, 403})


class Elasticsearch:
    """An Elasticsearch, read with an account that may monitor it and read the data streams."""

    name = "elasticsearch"

    def __init__(self, settings: ElasticsearchSettings, event_log: EventLog):
        """Create it without a connection.

        Args:
            settings: the URL and the login.
            event_log: receives the errors.
        """
        self._settings = settings
        self._event_log = event_log
        self._client: AsyncElasticsearch | None = None

    async def read(self) -> list[Metric]:
        """Read the metrics. Fails without the health; other metrics that cannot be read are omitted."""
        client = self._client = self._client or _client(self._settings)
        status = await self._health(client)
        streams = ",".join(STREAMS.values())
        failed = ",".join(f"{pattern}::failures" for pattern in STREAMS.values())
        by_index = {"by_index": {"terms": {"field": "_index", "size": MAX_STREAMS}}}
        results = await asyncio.gather(
            self._read("disk", client.nodes.stats(metric="fs"), disk),
            self._read(
                "data streams", client.indices.stats(index=streams, metric="docs"), documents
            ),
            self._read(
                "failure stores",
                client.search(
                    index=failed,
                    size=0,
                    aggregations=by_index,
                    allow_no_indices=True,
                    ignore_unavailable=True,
                ),
                failures,
            ),
        )
        return [status, *(metric for metrics in results for metric in metrics)]

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _health(self, client: AsyncElasticsearch) -> Metric:
        try:
            return health((await client.cluster.health()).body)
        except ApiError as error:
            if error.status_code in _LOGIN_REFUSED:
                await self.close()  # the next read uses the current password
                raise BackendError(
                    "store.elasticsearch.password_file: "
                    f"{self._settings.url} refuses the login of {self._settings.username!r} "
                    f"(status {error.status_code})"
                ) from error
            raise BackendError(f"{self._settings.url}: {error}") from error
        except (TransportError, OSError) as error:
            raise BackendError(f"{self._settings.url} cannot be reached: {error}") from error

    async def _read(
        self,
        name: str,
        request: Awaitable[ObjectApiResponse[Any]],
        parse: Callable[[Mapping[str, Any]], list[Metric]],
    ) -> list[Metric]:
        """The metrics of one request; empty if it fails."""
        source = f"elasticsearch, {name}"
        try:
            metrics = parse((await request).body)
        except (ApiError, TransportError, OSError, KeyError, TypeError, ValueError) as error:
            log_failed(self._event_log, source, f"not exported: {error!r}")
            return []
        log_read(self._event_log, source)
        return metrics


def health(body: Mapping[str, Any]) -> Metric:
    """The metric from `GET /_cluster/health`."""
    family = GaugeMetricFamily(
        "tidegate_elasticsearch_cluster_status",
        "1 for the status that the cluster has (green, yellow, red), else 0.",
        labels=["status"],
    )
    for status in STATUSES:
        family.add_metric([status], float(body.get("status") == status))
    return family


def disk(body: Mapping[str, Any]) -> list[Metric]:
    """The metrics of each node from `GET /_nodes/stats/fs`."""
    free = GaugeMetricFamily(
        "tidegate_elasticsearch_disk_free_bytes",
        "Bytes available to Elasticsearch on its data disk.",
        labels=["node"],
    )
    size = GaugeMetricFamily(
        "tidegate_elasticsearch_disk_bytes", "Size of Elasticsearch's data disk.", labels=["node"]
    )
    for node in body["nodes"].values():
        total = node["fs"]["total"]
        free.add_metric([node["name"]], total["available_in_bytes"])
        size.add_metric([node["name"]], total["total_in_bytes"])
    return [free, size]


def documents(body: Mapping[str, Any]) -> list[Metric]:
    """The documents of each data stream from `GET /<streams>/_stats/docs`, over all backing indices."""
    family = GaugeMetricFamily(
        "tidegate_elasticsearch_documents", "Documents in a data stream.", labels=["stream"]
    )
    counts: Counter[str] = Counter()
    for index, stats in body["indices"].items():
        if found := _BACKING.fullmatch(index):
            counts[found["stream"]] += stats["primaries"]["docs"]["count"]
    for stream, count in sorted(counts.items()):
        family.add_metric([stream], count)
    return [family]


def failures(body: Mapping[str, Any]) -> list[Metric]:
    """The documents in the failure store of each data stream that has any, from a search by index."""
    family = GaugeMetricFamily(
        "tidegate_elasticsearch_failure_store_documents",
        "Documents that Elasticsearch rejected and stored in a data stream's failure store.",
        labels=["stream"],
    )
    counts: Counter[str] = Counter()
    for bucket in body.get("aggregations", {}).get("by_index", {}).get("buckets", []):
        found = _BACKING.fullmatch(bucket["key"])
        counts[found["stream"] if found else bucket["key"]] += bucket["doc_count"]
    for stream, count in sorted(counts.items()):
        family.add_metric([stream], count)
    return [family]


def _client(settings: ElasticsearchSettings) -> AsyncElasticsearch:
    try:
        login = read_login(
            settings.username, settings.password_file, "store.elasticsearch.password_file"
        )
        options: dict[str, Any] = {"basic_auth": login, **authority_options(settings)}
    except (SecretFileError, HttpError) as error:
        raise BackendError(str(error)) from error
    # The caller has its own time limit, and the next scrape is the retry.
    return AsyncElasticsearch(
        settings.url, request_timeout=30, max_retries=0, retry_on_timeout=False, **options
    )
