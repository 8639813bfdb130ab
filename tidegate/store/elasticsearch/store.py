"""The Elasticsearch store: data streams with Tidegate's templates, appended to with `create`."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any, Final

import orjson
from elasticsearch import (
    ApiError,
    AuthorizationException,
    Elasticsearch,
    TransportError,
)

from tidegate.events.event import Event, encode
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.secret_files import SecretFileError, read_login
from tidegate.settings import Elasticsearch as ElasticsearchSettings
from tidegate.store.aggregations import Dialect
from tidegate.store.base import (
    OWNER,
    Owner,
    QueryError,
    Rejected,
    RequestRefusedError,
    SearchRequest,
    SearchResult,
    StoreUnavailableError,
)
from tidegate.store.elasticsearch import normalized_query
from tidegate.store.elasticsearch.authorities import authority_options
from tidegate.store.elasticsearch.responses import explain, reason
from tidegate.store.elasticsearch.templates import STREAMS, install
from tidegate.store.fields import (
    DEFAULT_FIELD,
    TIMESTAMP,
    RefusedError,
    document_address,
    time_of,
)
from tidegate.store.own_fields import (
    LeftOut,
    ignore,
    rewrite,
    with_own_fields,
    without_own_fields,
)
from tidegate.store.query import parser, tree
from tidegate.store.requests import SEARCH_SECONDS, TOO_LONG, check

# After the first time-out a server that cannot write responds with an error; the second one is for a server
# that does not respond.
WRITE_SECONDS: Final = 10
# Elasticsearch indexes the parts of a batch beside each other. One request took 1.3 times as long for 1,000
# events, and 1.4 times for 4,000 (2026-11-30).
PARTS: Final = 4
LEAST_OPERATIONS: Final = 250
REQUEST_SECONDS: Final = 20.0
# A document with this id exists.
CONFLICT: Final = 409
# Status codes of a bulk item that are not the event's fault: a retry may succeed.
TRANSIENT: Final = frozenset({401, 403, 404, 408, 429})
# The same holds for this error, a 400 of several types: a data stream cannot be created because the cluster
# has reached its limit of shards (elastic/elasticsearch 9.2,
# server/src/main/java/org/elasticsearch/indices/ShardLimitValidator.java). It is matched at its start,
# because other reasons quote the client's input.
NO_SHARD_LEFT: Final = re.compile(r"\w+: Validation Failed: 1: this action would add \[")
# A new stream has no started shard at first, and a search of all streams responds with 503 then.
SHARD_PAUSES: Final = (0.1, 0.3, 1.0, 2.0)
# Status codes of an invalid request.
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

    def __init__(
        self,
        settings: ElasticsearchSettings,
        *,
        read_only: bool = False,
        left_out: LeftOut = ignore,
        owner: Owner | None = None,
    ):
        """Connect, and install the templates if it is opened for writing; None owns all events.

        Raises:
            StoreUnavailableError: Elasticsearch cannot be reached, or refuses the credentials.
        """
        self._settings = settings
        self._read_only = read_only
        self._left_out = left_out
        self._owner = owner
        self._client = _client(settings)
        self._closed = False
        self._installed = False
        if not read_only:
            try:
                self._install()
            except StoreUnavailableError:
                self.close()
                raise

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        """Create each event in its data stream; an event that exists is left unchanged."""
        if not events:
            return []
        if self._read_only or self._closed:
            how = "closed" if self._closed else "open for reading only"
            raise StoreUnavailableError(f"{self._settings.url} is {how}")
        self._install()
        rejected: list[Rejected] = []
        lines: list[tuple[int, Operation]] = []
        for number, event in enumerate(events):
            try:
                lines.append((number, _operation(event, self._left_out)))
            except RefusedError as error:
                rejected.append(Rejected(number, str(error)))
        size = max(LEAST_OPERATIONS, math.ceil(len(lines) / PARTS))
        parts = [lines[start : start + size] for start in range(0, len(lines), size)]
        # None writes any more when this returns, also by an exception.
        with ThreadPoolExecutor(PARTS, "bulk") as threads:
            rejected += chain.from_iterable(threads.map(self._bulk, parts))
        return sorted(rejected, key=lambda one: one.index)

    def search(self, request: SearchRequest) -> SearchResult:
        """Search events; an appended event becomes visible within `index.refresh_interval` (1 s).

        A refresh at each search would make Elasticsearch write and merge a segment each time: the feedback
        processor searches every 2 s, `logs --follow` twice a second.
        """
        check(request)
        # Parsed here for better error messages and the same semantics as in the embedded store.
        parsed = parser.parse(request.query)
        streams, filters = _owned(None if request.everyone else self._owner, tree.fields(parsed))
        with self._translate_errors(QueryError):
            response = _search_with_retries(
                self._client.search,
                index=streams[request.stream] if request.stream else ",".join(streams.values()),
                allow_no_indices=True,
                ignore_unavailable=True,
                allow_partial_search_results=False,
                query=_query(normalized_query.render(rewrite(parsed)), request, filters),
                sort=[{request.sort: {"order": request.order, "unmapped_type": "long"}}],
                size=request.size,
                track_total_hits=True,
                timeout=f"{SEARCH_SECONDS}s",
                aggregations=DIALECT.request(request.aggregations) or None,
            ).body
        if response["timed_out"]:
            raise QueryError(TOO_LONG)
        found = response["hits"]
        hits = [without_own_fields(hit["_source"]) for hit in found["hits"]]
        if request.sort == TIMESTAMP:
            # Its own times have milliseconds only.
            hits.sort(key=lambda one: time_of(one) or 0, reverse=request.order == "desc")
        return SearchResult(
            total=found["total"]["value"],
            hits=hits,
            # Without any stream the response has no aggregations.
            aggregations=DIALECT.results(request.aggregations, response.get("aggregations", {})),
        )

    def close(self) -> None:
        """Close the connections."""
        self._closed = True
        self._client.close()

    def _install(self) -> None:
        """Install templates and mappings, once until the next error.

        An account without the privilege relies on the operator, who installs them with `tidegate setup`.
        """
        if self._installed:
            return
        with self._translate_errors(StoreUnavailableError), suppress(AuthorizationException):
            install(self._client, self._settings.retention)
        self._installed = True

    def _bulk(self, lines: Sequence[tuple[int, Operation]]) -> list[Rejected]:
        with self._translate_errors(RequestRefusedError):
            # The client accepts encoded lines, which its type hints do not show.
            operations: list[Any] = [part for _, operation in lines for part in operation]
            response = self._client.bulk(
                operations=operations,
                require_data_stream=True,
                timeout=f"{WRITE_SECONDS}s",
            ).body
        rejected = []
        for (number, _), item in zip(lines, response["items"], strict=True):
            outcome = item["create"]
            status = outcome["status"]
            if status < 300 or status == CONFLICT:
                continue
            message = explain(outcome.get("error"))
            if status >= 500 or status in TRANSIENT or NO_SHARD_LEFT.match(message):
                self._installed = False  # the templates may be lost, too
                raise StoreUnavailableError(f"{self._settings.url}: {status}: {message}")
            rejected.append(Rejected(number, message))
        return rejected

    @contextmanager
    def _translate_errors(self, refused: Callable[[str], Exception]) -> Iterator[None]:
        """Translate errors: `refused` for an invalid request, else StoreUnavailableError."""
        url = self._settings.url
        try:
            yield
        except ApiError as error:
            message = reason(error)
            if error.status_code in REFUSED or "too_many_buckets" in message:
                raise refused(message) from error
            self._installed = False
            if error.status_code == 401 and (login := _login(self._settings)):
                # The next request uses the current password.
                self._client = self._client.options(basic_auth=login)
            raise StoreUnavailableError(f"{url}: {error.status_code}: {message}") from error
        except TransportError as error:
            self._installed = False
            raise StoreUnavailableError(f"{url} cannot be reached: {error}") from error


def _search_with_retries(search: Callable[..., Any], **request: Any) -> Any:
    """Search, and retry while the shards of new streams start."""
    for pause in SHARD_PAUSES:
        try:
            return search(**request)
        except ApiError as error:
            if error.status_code != 503:
                raise
        time.sleep(pause)
    return search(**request)


def _login(settings: ElasticsearchSettings) -> tuple[str, str] | None:
    """The user and the current password."""
    try:
        return read_login(
            settings.username, settings.password_file, "store.elasticsearch.password_file"
        )
    except SecretFileError as error:
        raise StoreUnavailableError(str(error)) from error


def _client(settings: ElasticsearchSettings) -> Elasticsearch:
    try:
        options = {"basic_auth": _login(settings), **authority_options(settings)}
    except HttpError as error:
        raise StoreUnavailableError(str(error)) from error
    # The caller decides about retries and their delays.
    return Elasticsearch(
        settings.url,
        request_timeout=REQUEST_SECONDS,
        max_retries=0,
        retry_on_timeout=False,
        **options,
    )


def _operation(event: Event, report: LeftOut) -> Operation:
    identity, stream = document_address(event)
    action = orjson.dumps({"create": {"_index": stream, "_id": identity}})
    return action, encode(with_own_fields(event, report))[:-1]


def _owned(
    owner: Owner | None, named: Collection[str]
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Return the patterns of streams, and the filters, that leave an owner's events."""
    service, namespace = OWNER
    streams, filters = STREAMS, list[dict[str, Any]]()
    if owner and namespace not in named:
        streams = {kind: f"{kind}-tidegate.*-{owner.namespace}" for kind in STREAMS}
    if owner and owner.service and service not in named:
        filters.append({"term": {service: owner.service}})
    return streams, filters


def _query(query: str, request: SearchRequest, filters: list[dict[str, Any]]) -> dict[str, Any]:
    text = {"query": query, "default_field": DEFAULT_FIELD, "analyze_wildcard": True}
    filters.append({"query_string": text})
    bounds = {"gte": request.since, "lt": request.until}
    time_range = {name: bound.isoformat() for name, bound in bounds.items() if bound is not None}
    if time_range:
        filters.append({"range": {TIMESTAMP: time_range}})
    return {"bool": {"filter": filters}}
