"""The contract of a store: append events, search them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from tidegate.events import Event


class QueryError(ValueError):
    """The query string cannot be read. Its text says where and why."""


class StoreUnavailableError(RuntimeError):
    """The store cannot be reached or is not ready. Trying again later is right."""


class RequestRefusedError(RuntimeError):
    """The store refused events together: they are too large, one of them is at fault, or the store is."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The most frequent values of a keyword, number or boolean field, with their counts."""

    field: str
    size: int = 10


@dataclass(frozen=True, slots=True)
class DateHistogram:
    """Counts by interval of `@timestamp`."""

    interval: timedelta


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of a number field."""

    field: str
    percents: tuple[float, ...] = (50.0, 95.0, 99.0)


Aggregation = Terms | DateHistogram | Percentiles


@dataclass(frozen=True, slots=True)
class Bucket:
    """A value (for a date histogram, the interval's start as a datetime) and its count."""

    key: str | float | bool | datetime
    count: int


AggregationResult = list[Bucket] | dict[float, float | None]
"""Buckets of terms or a date histogram; or percentile → value (None without values)."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What is looked for.

    Attributes:
        query: Lucene query string over the events' own dotted field names; empty means everything.
        since: earliest `@timestamp`, inclusive.
        until: latest `@timestamp`, exclusive.
        order: by `@timestamp`.
        size: hits wanted, 0 for none.
        stream: `logs`, `traces` or both (None).
        aggregations: by a name of the caller's.
    """

    query: str = ""
    since: datetime | None = None
    until: datetime | None = None
    order: Literal["asc", "desc"] = "desc"
    size: int = 50
    stream: Literal["logs", "traces"] | None = None
    aggregations: Mapping[str, Aggregation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What was found: the exact number of matches, the wanted hits, the aggregations by name."""

    total: int
    hits: list[Event]
    aggregations: dict[str, AggregationResult]


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that the store will never take, and why."""

    index: int
    reason: str


class EventStore(Protocol):
    """Where events can be searched. Both stores pass one contract test suite."""

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        """Store the events durably before returning; an `event.id` already stored is success.

        Each event has an `event.id`. Returns those that the store refuses for good.

        Raises:
            StoreUnavailableError: nothing, or an unknown part, was stored: send the same events again.
            RequestRefusedError: nothing was stored; fewer at a time may be.
        """
        ...

    def search(self, request: SearchRequest) -> SearchResult:
        """Find events; what `append` returned from is found.

        Raises:
            QueryError: the query string cannot be read.
            StoreUnavailableError: the store cannot be asked now.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
