"""The interface of an event store: append events and search them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from tidegate.events.event import Event

Rebuilding: TypeAlias = Callable[[int, int], None]
"""Gets how many events of a store are in its new index, and how many there are. What it raises ends that."""


def unreported(done: int, events: int) -> None:
    """A `Rebuilding` that does nothing."""


class QueryError(ValueError):
    """The search request is invalid. The message says where and why.

    Attributes:
        reason: why, without the place.
        place: where the wrong part of the query begins and ends; None if it is not known.
    """

    def __init__(
        self, message: str, *, reason: str = "", place: tuple[int, int] | None = None
    ) -> None:
        """Store the message and what it consists of."""
        super().__init__(message)
        self.reason = reason or message
        self.place = place


class StoreUnavailableError(RuntimeError):
    """The store cannot be reached or is not ready. The caller may retry later."""


class RequestRefusedError(RuntimeError):
    """The store refused a whole request: it is too large, one event in it is invalid, or the store failed."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The most frequent values of a keyword, numeric or boolean field, with their counts.

    Those of a field that is not in the mapping are texts, as they are written in a query.
    """

    field: str
    size: int = 10


@dataclass(frozen=True, slots=True)
class DateHistogram:
    """The number of events in each interval of `@timestamp`."""

    interval: timedelta


Aggregation = Terms | DateHistogram


@dataclass(frozen=True, slots=True)
class Bucket:
    """A value and its count; in a date histogram the value is the start of the interval."""

    key: str | float | bool | datetime
    count: int


OWNER: Final = ("service.name", "data_stream.namespace")
"""The fields of an `Owner`."""


class Owner(NamedTuple):
    """Whose events a reader of a shared store gets.

    A query that names one of the fields, such as `data_stream.namespace:*`, says itself what it wants of it.
    An empty service is that of all: where `service.name` is not set, an application names its service itself.
    """

    service: str
    namespace: str


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search.

    Attributes:
        query: Lucene query string over the events' dotted field names; empty matches every event.
        since: Earliest `@timestamp`, inclusive.
        until: Latest `@timestamp`, exclusive.
        sort: Field that the hits are sorted by, a number or a date; those without it come last.
        order: Sort order of the hits.
        size: Maximum number of hits; 0 returns none.
        stream: `logs`, `traces` or both (None).
        everyone: Also the events of other services and namespaces, as a trace may cross them.
        aggregations: Aggregations by a name that the caller chooses.
    """

    query: str = ""
    since: datetime | None = None
    until: datetime | None = None
    sort: str = "@timestamp"
    order: Literal["asc", "desc"] = "desc"
    size: int = 50
    stream: Literal["logs", "traces"] | None = None
    everyone: bool = False
    aggregations: Mapping[str, Aggregation] = field(default_factory=dict)


def stream_of(query: str) -> Literal["logs"] | None:
    """What a person's query searches: spans only if it names them, so that a request is one line."""
    return None if _OF_SPANS.search(query) else "logs"


_OF_SPANS: Final = re.compile(r"\bspan\b|parent\.id|trace\.id|data_stream|tidegate\.attributes")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The exact number of matches, the hits, and the buckets of the aggregations by name."""

    total: int
    hits: list[Event]
    aggregations: dict[str, list[Bucket]]


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that the store permanently rejects: its index in the batch, and the reason."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Damage:
    """Damage of a store, whose damaged part was set aside; the store is usable again.

    Attributes:
        reason: What was damaged, and where it is now.
        events: Number of events in it; None if unknown.
        created: There was no store at all, as at the first start.
    """

    reason: str
    events: int | None
    created: bool = False


class Sink(Protocol):
    """Accepts events and acknowledges them: a store, or what passes them on to one."""

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        """Store the events durably before returning; an `event.id` that is already stored is success.

        Each event has an `event.id`. Returns the events that the store permanently rejects.

        Raises:
            StoreUnavailableError: None or an unknown part was stored: retry with the same events.
            RequestRefusedError: None or an unknown part was stored; a smaller batch may succeed.
        """
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


class EventStore(Sink, Protocol):
    """A store of events. Both implementations pass one contract test suite."""

    def search(self, request: SearchRequest) -> SearchResult:
        """Search events; events of a completed `append` are visible.

        Raises:
            QueryError: The request is invalid.
            StoreUnavailableError: The store cannot be searched now.
        """
        ...
