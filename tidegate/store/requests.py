"""Validates a search request before either store runs it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from tidegate.store.base import Aggregation, DateHistogram, Percentiles, QueryError, SearchRequest
from tidegate.store.fields import Kind, catalogue

# Elasticsearch's own limits (index.max_result_window, search.max_buckets).
MAX_HITS: Final = 10_000
MAX_BUCKETS: Final = 65_000
# Longer than any useful search takes; below the time-out of the connection to Elasticsearch.
SEARCH_SECONDS: Final = 15
TOO_LONG: Final = (
    f"the search took longer than {SEARCH_SECONDS} s: search a shorter time range, or with fewer words and"
    " wildcards"
)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TERMS: Final = (Kind.KEYWORD, Kind.LONG, Kind.DOUBLE, Kind.BOOLEAN)
_NUMBERS: Final = (Kind.LONG, Kind.DOUBLE)
_SORTS: Final = (*_NUMBERS, Kind.DATE)


def check(request: SearchRequest) -> None:
    """Validate a search request.

    Raises:
        QueryError: A limit is exceeded, or an aggregation does not support its field's type.
    """
    if not 0 <= request.size <= MAX_HITS:
        raise QueryError(f"the number of hits must be 0 to {MAX_HITS}, not {request.size}")
    sort = catalogue().get(request.sort)
    if sort is None or sort.kind not in _SORTS:
        raise QueryError(
            f"hits cannot be sorted by {request.sort}: it is no field of a number or date"
        )
    for name, aggregation in request.aggregations.items():
        _check_aggregation(name, aggregation)


def _check_aggregation(name: str, aggregation: Aggregation) -> None:
    if isinstance(aggregation, DateHistogram):
        if aggregation.interval < _MILLISECOND or aggregation.interval % _MILLISECOND:
            raise QueryError(
                f"{name}: the interval must be a whole number of milliseconds, not {aggregation.interval}"
            )
        return
    leaf = catalogue().get(aggregation.field)
    if isinstance(aggregation, Percentiles):
        if leaf is None:
            raise QueryError(f"{name}: unknown field {aggregation.field}")
        if leaf.kind not in _NUMBERS:
            raise QueryError(
                f"{name}: {leaf.path} is a {leaf.kind} field: percentiles need a number"
            )
        if not aggregation.percents or not all(
            0 <= percent <= 100 for percent in aggregation.percents
        ):
            raise QueryError(f"{name}: percentiles must be between 0 and 100")
    else:
        if leaf is not None and leaf.kind not in _TERMS:
            raise QueryError(f"{name}: {leaf.path} is a {leaf.kind} field: terms are not supported")
        if not 0 < aggregation.size <= MAX_HITS:
            raise QueryError(
                f"{name}: the number of terms must be 1 to {MAX_HITS}, not {aggregation.size}"
            )
