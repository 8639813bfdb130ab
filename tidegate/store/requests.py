"""What both stores ask of a search before they begin it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from tidegate.store.base import Aggregation, DateHistogram, Percentiles, QueryError, SearchRequest
from tidegate.store.fields import Kind, catalogue

# Elasticsearch's own limits (index.max_result_window, search.max_buckets).
MAX_HITS: Final = 10_000
MAX_BUCKETS: Final = 65_000
_MILLISECOND: Final = timedelta(milliseconds=1)
_TERMS: Final = (Kind.KEYWORD, Kind.LONG, Kind.DOUBLE, Kind.BOOLEAN)
_NUMBERS: Final = (Kind.LONG, Kind.DOUBLE)


def check(request: SearchRequest) -> None:
    """Refuse what no store can answer.

    Raises:
        QueryError: it asks for too much, or for an aggregation that its field cannot have.
    """
    if not 0 <= request.size <= MAX_HITS:
        raise QueryError(f"a search returns 0 to {MAX_HITS} events, not {request.size}")
    for name, wanted in request.aggregations.items():
        _check_aggregation(name, wanted)


def _check_aggregation(name: str, wanted: Aggregation) -> None:
    if isinstance(wanted, DateHistogram):
        if wanted.interval < _MILLISECOND or wanted.interval % _MILLISECOND:
            raise QueryError(
                f"{name}: an interval is a whole number of milliseconds, not {wanted.interval}"
            )
        return
    leaf = catalogue().get(wanted.field)
    if leaf is None:
        raise QueryError(f"{name}: there is no field {wanted.field}")
    if isinstance(wanted, Percentiles):
        if leaf.kind not in _NUMBERS:
            raise QueryError(f"{name}: {leaf.path} is a {leaf.kind}: it has no percentiles")
        if not wanted.percents or not all(0 <= percent <= 100 for percent in wanted.percents):
            raise QueryError(f"{name}: percents lie between 0 and 100")
    else:
        if leaf.kind not in _TERMS:
            raise QueryError(f"{name}: {leaf.path} is a {leaf.kind}: it has no terms to count")
        if not 0 < wanted.size <= MAX_HITS:
            raise QueryError(f"{name}: 1 to {MAX_HITS} terms can be counted, not {wanted.size}")
