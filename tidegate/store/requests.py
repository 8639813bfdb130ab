"""Validates a search request before either store runs it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from tidegate.store.base import Aggregation, DateHistogram, QueryError, SearchRequest
from tidegate.store.fields import Kind, catalogue

# Elasticsearch's own limit (index.max_result_window).
MAX_HITS: Final = 10_000
# Longer than any useful search takes; below the time-out of the connection to Elasticsearch.
SEARCH_SECONDS: Final = 15
TOO_LONG: Final = (
    f"the search took longer than {SEARCH_SECONDS} s: search a shorter time range, or with fewer words and"
    " wildcards"
)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TERMS: Final = (Kind.KEYWORD, Kind.LONG, Kind.DOUBLE, Kind.BOOLEAN)
_SORTS: Final = (Kind.LONG, Kind.DOUBLE, Kind.DATE)


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


def has_terms(name: str) -> bool:
    """Whether the values of a field can be counted: not those of a text or a date."""
    leaf = catalogue().get(name)
    return leaf is None or leaf.kind in _TERMS


def _check_aggregation(name: str, aggregation: Aggregation) -> None:
    if isinstance(aggregation, DateHistogram):
        if aggregation.interval < _MILLISECOND or aggregation.interval % _MILLISECOND:
            raise QueryError(
                f"{name}: the interval must be a whole number of milliseconds, not {aggregation.interval}"
            )
        return
    if not has_terms(aggregation.field):
        leaf = catalogue()[aggregation.field]
        raise QueryError(f"{name}: {leaf.path} is a {leaf.kind} field: terms are not supported")
    if not 0 < aggregation.size <= MAX_HITS:
        raise QueryError(
            f"{name}: the number of terms must be 1 to {MAX_HITS}, not {aggregation.size}"
        )
