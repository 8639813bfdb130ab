"""The store in an Elasticsearch: data streams by templates of our own, appended to with `create`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import orjson
from elasticsearch import (
    ApiError,
    AuthorizationException,
    Elasticsearch,
    TransportError,
)

from tidegate.events import Event, encode
from tidegate.settings import Elasticsearch as ElasticsearchSettings
from tidegate.store import canonical, lucene
from tidegate.store.aggregations import Dialect
from tidegate.store.answers import explain, reason
from tidegate.store.base import (
    QueryError,
    Rejected,
    RequestRefusedError,
    SearchRequest,
    SearchResult,
    StoreUnavailableError,
)
from tidegate.store.compiler import DEFAULT_FIELD
from tidegate.store.fields import TIMESTAMP, RefusedError, place
from tidegate.store.installing import STREAMS, install
from tidegate.store.requests import check

# A server that cannot write yet says so after the first; the second is for one that says nothing.
WRITE_SECONDS: Final = 10
REQUEST_SECONDS: Final = 20.0
# The item was understood and is already there.
CONFLICT: Final = 409
# Answers about one event that say nothing against the event itself: a later try may be taken.
TRANSIENT: Final = frozenset({401, 403, 404, 408, 429})
# Nor does this one, a 400 of several types: a data stream cannot be created, as the cluster has as many
# shards as it may have (elastic/elasticsearch 9.2,
# server/src/main/java/org/elasticsearch/indices/ShardLimitValidator.java). It is matched from its start, as
# other reasons repeat what a client wrote.
NO_SHARD_LEFT: Final = re.compile(r"\w+: Validation Failed: 1: this action would add \[")
# A stream that was just made has no shard for a moment, and a search of all streams is a 503 then.
SHARD_PAUSES: Final = (0.1, 0.3, 1.0, 2.0)
# Answers to a whole request that is itself at fault.
REFUSED: Final = frozenset({400, 413})
Operation = tuple[bytes, bytes]
DIALECT: Final = Dialect(
    lambda interval: {
        "date_histogram": {
            "field": TIMESTAMP,
            "fixed_interval": f"{round(interval.total_seconds() * 1000)}ms",
            "min_doc_count": 0,
        }
    },
    key_microseconds=1000,
)


class ElasticsearchStore:
    """Events in Elasticsearch."""

    def __init__(self, settings: ElasticsearchSettings, *, read_only: bool = False):
        """Connect; for writing, put the templates in place.

        Raises:
            StoreUnavailableError: there is no Elasticsearch, or it does not let us in.
        """
        self._settings = settings
        self._read_only = read_only
        self._client = _client(settings)
        self._installed = False
        if not read_only:
            try:
                self._install()
            except StoreUnavailableError:
                self.close()
                raise

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        """Create each event in its data stream; one that is there already is left as it is."""
        if not events:
            return []
        if self._read_only:
            raise StoreUnavailableError(f"{self._settings.url} is open for reading only")
        self._install()
        rejected: list[Rejected] = []
        lines: list[tuple[int, Operation]] = []
        for number, event in enumerate(events):
            try:
                lines.append((number, _operation(event)))
            except RefusedError as error:
                rejected.append(Rejected(number, str(error)))
        rejected += self._bulk(lines)
        return sorted(rejected, key=lambda one: one.index)

    def search(self, request: SearchRequest) -> SearchResult:
        """Find events; one that was just appended is found within `index.refresh_interval` (1 s).

        A refresh at each search would make Elasticsearch write a segment for each, and merge them: the
        watcher of labels searches every 2 s, `logs --follow` twice a second.
        """
        check(request)
        # Read here first: that says better where it is wrong, and means the same as in the other store.
        query = canonical.render(lucene.parse(request.query))
        streams = STREAMS[request.stream] if request.stream else ",".join(STREAMS.values())
        with self._asking(QueryError):
            answer = _with_patience(
                self._client.search,
                index=streams,
                allow_no_indices=True,
                ignore_unavailable=True,
                allow_partial_search_results=False,
                query=_query(query, request),
                sort=[{TIMESTAMP: {"order": request.order, "unmapped_type": "date"}}],
                size=request.size,
                track_total_hits=True,
                aggregations=DIALECT.request(request.aggregations) or None,
            ).body
        found = answer["hits"]
        return SearchResult(
            total=found["total"]["value"],
            hits=[hit["_source"] for hit in found["hits"]],
            # Without any stream there are no aggregations in the answer either.
            aggregations=DIALECT.results(request.aggregations, answer.get("aggregations", {})),
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _install(self) -> None:
        """Put templates and mapping in place, unless that was done since the last trouble.

        An account that may not do so leaves it to whoever set the cluster up.
        """
        if self._installed:
            return
        with self._asking(StoreUnavailableError), suppress(AuthorizationException):
            install(self._client, self._settings.retention)
        self._installed = True

    def _bulk(self, lines: Sequence[tuple[int, Operation]]) -> list[Rejected]:
        if not lines:
            return []
        with self._asking(RequestRefusedError):
            # The client takes lines that are bytes already; its types do not say so.
            operations: list[Any] = [part for _, operation in lines for part in operation]
            answer = self._client.bulk(
                operations=operations,
                require_data_stream=True,
                timeout=f"{WRITE_SECONDS}s",
            ).body
        rejected = []
        for (number, _), item in zip(lines, answer["items"], strict=True):
            outcome = item["create"]
            status = outcome["status"]
            if status < 300 or status == CONFLICT:
                continue
            why = explain(outcome.get("error"))
            if status >= 500 or status in TRANSIENT or NO_SHARD_LEFT.match(why):
                self._installed = False  # perhaps the templates went, with everything else
                raise StoreUnavailableError(f"{self._settings.url}: {status}: {why}")
            rejected.append(Rejected(number, why))
        return rejected

    @contextmanager
    def _asking(self, refused: Callable[[str], Exception]) -> Iterator[None]:
        """Every trouble becomes StoreUnavailableError; but a request that is at fault, `refused`."""
        url = self._settings.url
        try:
            yield
        except ApiError as error:
            why = reason(error)
            if error.status_code in REFUSED or "too_many_buckets" in why:
                raise refused(why) from error
            self._installed = False
            raise StoreUnavailableError(f"{url}: {error.status_code}: {why}") from error
        except TransportError as error:
            self._installed = False
            raise StoreUnavailableError(f"{url} cannot be reached: {error}") from error


def _with_patience(search: Callable[..., Any], **request: Any) -> Any:
    """The answer to a search, once the shards of new streams have started."""
    for pause in SHARD_PAUSES:
        try:
            return search(**request)
        except ApiError as error:
            if error.status_code != 503:
                raise
        time.sleep(pause)
    return search(**request)


def _client(settings: ElasticsearchSettings) -> Elasticsearch:
    options: dict[str, Any] = {}
    if settings.username:
        if settings.password_file is None:
            raise StoreUnavailableError(
                "store.elasticsearch.password_file is needed with a username"
            )
        try:
            password = settings.password_file.read_text("utf-8").strip()
        except OSError as error:
            raise StoreUnavailableError(f"store.elasticsearch.password_file: {error}") from error
        options["basic_auth"] = (settings.username, password)
    if settings.ca_file is not None:
        options["ca_certs"] = str(settings.ca_file)
    # The caller knows when to try again, and how long it has.
    return Elasticsearch(
        settings.url,
        request_timeout=REQUEST_SECONDS,
        max_retries=0,
        retry_on_timeout=False,
        **options,
    )


def _operation(event: Event) -> Operation:
    identity, stream = place(event)
    action = orjson.dumps({"create": {"_index": stream, "_id": identity}})
    return action, encode(event)[:-1]


def _query(query: str, request: SearchRequest) -> dict[str, Any]:
    text = {"query": query, "default_field": DEFAULT_FIELD, "analyze_wildcard": True}
    filters: list[dict[str, Any]] = [{"query_string": text}]
    bounds = {"gte": request.since, "lt": request.until}
    moments = {name: moment.isoformat() for name, moment in bounds.items() if moment is not None}
    if moments:
        filters.append({"range": {TIMESTAMP: moments}})
    return {"bool": {"filter": filters}}
