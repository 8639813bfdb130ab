"""Reads the hits of a search page by page, newest first, each event once.

A page ends at an event, not at a number: events that arrive meanwhile shift nothing. Events of one
millisecond, the unit of Elasticsearch's times, are in the order of their ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import Final, NamedTuple

from tidegate.events.event import Event
from tidegate.store.base import EventStore, SearchRequest
from tidegate.store.fields import TIMESTAMP, time_of
from tidegate.store.query import time_ranges
from tidegate.store.requests import MAX_HITS
from tidegate.store.search.event_lines import value_of

_CURSOR: Final = re.compile(r"(-?\d{1,15})~(.+)", re.DOTALL)


class Cursor(NamedTuple):
    """The place of an event in the order of all: its time in milliseconds since 1970, and its id."""

    milliseconds: int
    id: str

    def __str__(self) -> str:
        return f"{self.milliseconds}~{self.id}"


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its events, and where the next one begins; None if it is the last."""

    events: list[Event]
    next: Cursor | None


def cursor(text: str) -> Cursor | None:
    """Parse a cursor; None if the text is not one."""
    found = _CURSOR.fullmatch(text)
    return Cursor(int(found[1]), found[2]) if found else None


def page(store: EventStore, request: SearchRequest, after: Cursor | None = None) -> Page:
    """Return the events after a cursor, at most `request.size`; fewer do not mean that it is the last page.

    The order and the sort field of the request are not used, and its size is at most `MAX_HITS - 1`.
    """
    request = replace(request, order="desc", sort=TIMESTAMP)
    while True:
        # An empty id is before all of its millisecond.
        wanted = _before(request, after.milliseconds + bool(after.id)) if after else request
        found = store.search(replace(wanted, size=request.size + 1)).hits
        cut = len(found) > request.size
        places = [(_place(event), event) for event in found]
        if cut:
            # Which events of the last millisecond were returned is up to the store: read them all.
            last = places[-1][0].milliseconds
            places = [one for one in places if one[0].milliseconds > last]
            if sum(_follows(place, after) for place, _ in places) < request.size:
                tied = _after(_before(wanted, last + 1), last)
                hits = store.search(replace(tied, size=MAX_HITS)).hits
                places += [(_place(event), event) for event in hits]
        shown = sorted(
            (one for one in places if _follows(one[0], after)), key=itemgetter(0), reverse=True
        )
        if shown or not cut:
            more = cut or len(shown) > request.size
            shown = shown[: request.size]
            return Page([event for _, event in shown], shown[-1][0] if more else None)
        after = Cursor(last, "")


def events(store: EventStore, request: SearchRequest, limit: int) -> Iterator[Event]:
    """Yield the matching events, newest first, at most `limit`, in pages of `request.size`."""
    after: Cursor | None = None
    while limit > 0:
        found = page(store, replace(request, size=min(request.size, limit)), after)
        yield from found.events
        limit -= len(found.events)
        after = found.next
        if after is None:
            return


def _follows(place: Cursor, after: Cursor | None) -> bool:
    return after is None or place < after


def _place(event: Event) -> Cursor:
    return Cursor((time_of(event) or 0) // 1000, str(value_of(event, "event.id")))


def _before(request: SearchRequest, milliseconds: int) -> SearchRequest:
    return replace(request, until=min(_times(milliseconds, request.until)))


def _after(request: SearchRequest, milliseconds: int) -> SearchRequest:
    return replace(request, since=max(_times(milliseconds, request.since)))


def _times(milliseconds: int, bound: datetime | None) -> list[datetime]:
    """A time, and the bound of a request, if it has one, with its time zone."""
    given = [] if bound is None else [time_ranges.to_microseconds(bound)]
    return [time_ranges.to_datetime(each) for each in (milliseconds * 1000, *given)]
