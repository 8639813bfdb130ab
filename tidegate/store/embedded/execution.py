"""Runs a search on the index, and ends the wait for one that takes too long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Final

import tantivy
from tantivy import FieldType, Occur, Order, Query

from tidegate.store.aggregations import Dialect
from tidegate.store.base import (
    Bucket,
    DateHistogram,
    QueryError,
    SearchRequest,
    SearchResult,
)
from tidegate.store.embedded import index
from tidegate.store.fields import TIMESTAMP
from tidegate.store.query import time_ranges
from tidegate.store.requests import SEARCH_SECONDS, TOO_LONG

# The index holds times as microseconds: tantivy indexes its own date type by the second.
DIALECT: Final = Dialect(
    lambda interval: {
        "histogram": {
            "field": TIMESTAMP,
            "interval": interval.total_seconds() * 1e6,
            "min_doc_count": 0,
        }
    },
    key_microseconds=1,
)


def with_filters(schema: tantivy.Schema, query: Query, request: SearchRequest) -> Query:
    """Return the query within the time range and the stream of a request."""
    parts = [query]
    if request.since is not None or request.until is not None:
        since, until = (
            None if time is None else time_ranges.to_microseconds(time)
            for time in (request.since, request.until)
        )
        parts.append(times(schema, since, until))
    if request.stream is not None:
        parts.append(Query.term_query(schema, "data_stream.type", request.stream, "basic"))
    return Query.boolean_query([(Occur.Must, part) for part in parts])


def times(schema: tantivy.Schema, since: int | None, until: int | None) -> Query:
    """Match times from `since` (inclusive) to `until` (exclusive), in microseconds since 1970."""
    return Query.range_query(
        schema, TIMESTAMP, FieldType.Integer, since, until, include_upper=until is None
    )


def within_time(run: Callable[[], SearchResult], seconds: float = SEARCH_SECONDS) -> SearchResult:
    """Return the result of a search; tantivy cannot interrupt one, so a longer one goes on by itself.

    Raises:
        QueryError: It takes longer.
        Exception: What the search raises.
    """
    result = Future[SearchResult]()

    def target() -> None:
        try:
            result.set_result(run())
        except BaseException as error:  # noqa: BLE001  raised below
            result.set_exception(error)

    threading.Thread(target=target, name="search", daemon=True).start()
    if not wait((result,), seconds).done:
        raise QueryError(TOO_LONG)
    return result.result()


def run(searcher: tantivy.Searcher, query: Query, request: SearchRequest) -> SearchResult:
    """Return the hits, the aggregations and the number of matches."""
    aggregations: dict[str, list[Bucket]] = {}
    if request.aggregations:
        response = searcher.aggregate(query, DIALECT.request(request.aggregations))
        aggregations = DIALECT.results(request.aggregations, response)
    if request.size:
        order = Order.Asc if request.order == "asc" else Order.Desc
        found = searcher.search(query, request.size, order_by_field=request.sort, order=order)
        hits = [index.event(searcher.doc(address)) for _, address in found.hits]
        return SearchResult(index.count(found), hits, aggregations)
    for name, wanted in request.aggregations.items():
        if isinstance(wanted, DateHistogram):  # each event has one time
            return SearchResult(sum(one.count for one in aggregations[name]), [], aggregations)
    # tantivy requires a limit of at least 1, also to count; without an order it is twice as fast.
    return SearchResult(index.count(searcher.search(query, 1)), [], aggregations)
