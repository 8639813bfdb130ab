"""Elasticsearch's state as metrics: its health, its disk, what is in our data streams and what failed."""

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
from tidegate.runtime.secret_files import SecretFileError, read_secret
from tidegate.settings import Elasticsearch as ElasticsearchSettings
from tidegate.store.elasticsearch.templates import STREAMS

STATUSES: Final = ("green", "yellow", "red")
# `.ds-<stream>-<yyyy.mm.dd>-<generation>`; `.fs-…` in a failure store.
_BACKING = re.compile(r"\.[df]s-(?P<stream>.+)-\d{4}\.\d\d\.\d\d-\d{6,}")
MOST_STREAMS: Final = 1000
_LETS_IN_NOT: Final = frozenset({401, 403})


class Elasticsearch:
    """An Elasticsearch, asked with an account that may monitor it and read our streams."""

    name = "elasticsearch"

    def __init__(self, settings: ElasticsearchSettings, event_log: EventLog):
        """Ask nothing yet.

        Args:
            settings: where it is, and who asks.
            event_log: receives what cannot be read.
        """
        self._settings = settings
        self._event_log = event_log
        self._client: AsyncElasticsearch | None = None

    async def read(self) -> list[Metric]:
        """Its numbers; without health it counts as away, and what else it does not give is left out."""
        client = self._client = self._client or _client(self._settings)
        status = await self._health(client)
        streams = ",".join(STREAMS.values())
        failed = ",".join(f"{pattern}::failures" for pattern in STREAMS.values())
        by_index = {"by_index": {"terms": {"field": "_index", "size": MOST_STREAMS}}}
        answers = await asyncio.gather(
            self._ask("the disk", client.nodes.stats(metric="fs"), disk),
            self._ask("the streams", client.indices.stats(index=streams, metric="docs"), documents),
            self._ask(
                "the failure stores",
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
        return [status, *(metric for metrics in answers for metric in metrics)]

    async def close(self) -> None:
        """Let go of the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _health(self, client: AsyncElasticsearch) -> Metric:
        try:
            return health((await client.cluster.health()).body)
        except ApiError as error:
            if error.status_code in _LETS_IN_NOT:
                await self.close()  # perhaps the password is another now
                raise BackendError(
                    "store.elasticsearch.password_file: "
                    f"{self._settings.url} does not let {self._settings.username!r} in with it "
                    f"({error.status_code})"
                ) from error
            raise BackendError(f"{self._settings.url}: {error}") from error
        except (TransportError, OSError) as error:
            raise BackendError(f"{self._settings.url} cannot be reached: {error}") from error

    async def _ask(
        self,
        what: str,
        question: Awaitable[ObjectApiResponse[Any]],
        read: Callable[[Mapping[str, Any]], list[Metric]],
    ) -> list[Metric]:
        """The metrics of one question; none if this Elasticsearch has no answer to it."""
        about = f"elasticsearch, {what}"
        try:
            metrics = read((await question).body)
        except (ApiError, TransportError, OSError, KeyError, TypeError, ValueError) as error:
            reason = f"not exported, as it cannot be read: {error!r}"
            log_failed(self._event_log, about, reason)
            return []
        log_read(self._event_log, about)
        return metrics


def health(body: Mapping[str, Any]) -> Metric:
    """`GET /_cluster/health`: 1 for the status that it has, 0 for the others."""
    family = GaugeMetricFamily(
        "tidegate_elasticsearch_cluster_status",
        "1 for the status that the cluster has, else 0.",
        labels=["status"],
    )
    for status in STATUSES:
        family.add_metric([status], float(body.get("status") == status))
    return family


def disk(body: Mapping[str, Any]) -> list[Metric]:
    """`GET /_nodes/stats/fs`: of each node."""
    free = GaugeMetricFamily(
        "tidegate_elasticsearch_disk_free_bytes",
        "Bytes that Elasticsearch may still use on the disk of its data.",
        labels=["node"],
    )
    size = GaugeMetricFamily(
        "tidegate_elasticsearch_disk_bytes", "Size of the disk of its data.", labels=["node"]
    )
    for node in body["nodes"].values():
        total = node["fs"]["total"]
        free.add_metric([node["name"]], total["available_in_bytes"])
        size.add_metric([node["name"]], total["total_in_bytes"])
    return [free, size]


def documents(body: Mapping[str, Any]) -> list[Metric]:
    """`GET /<our streams>/_stats/docs`: of each stream, all its backing indices together."""
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
    """A search in the failure stores of our streams, by index: of each stream that has any."""
    family = GaugeMetricFamily(
        "tidegate_elasticsearch_failure_store_documents",
        "Documents that Elasticsearch refused and keeps in a data stream's failure store.",
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
    options: dict[str, Any] = {}
    if settings.username:
        if settings.password_file is None:
            raise BackendError("store.elasticsearch.password_file is needed with a username")
        try:
            password = read_secret(settings.password_file, "store.elasticsearch.password_file")
        except SecretFileError as error:
            raise BackendError(str(error)) from error
        options["basic_auth"] = (settings.username, password)
    if settings.ca_file is not None:
        options["ca_certs"] = str(settings.ca_file)
    # Who asks has a time limit of his own, and asks again anyway.
    return AsyncElasticsearch(
        settings.url, request_timeout=30, max_retries=0, retry_on_timeout=False, **options
    )
