"""Reads all results of a query page by page, and then the events that arrive later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from tidegate.events.event import Event
from tidegate.store.base import EventStore, SearchRequest, stream_of
from tidegate.store.query import time_ranges
from tidegate.store.search.event_lines import text_of

PAGE: Final = 1000
# Events arrive in the order of their delivery, not of their timestamps: an event is found at once if it is
# at most this much older than the newest one, or at most this much ahead of the clock.
TOLERANCE: Final = timedelta(seconds=10)
_MILLISECOND: Final = 1000


@dataclass(slots=True)
class Follower:
    """Returns each matching event once.

    The first poll returns every event. Later polls return events up to the present, and an event with a
    timestamp in the future when that time comes: it must not hide the others, and reading the whole
    future at each poll would have no bound.
    """

    store: EventStore
    query: str
    since: datetime
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _seen: dict[str, datetime] = field(default_factory=dict)
    _newest: datetime | None = None
    _polled: bool = False

    def events(self) -> Iterator[Event]:
        """Return the events that were not returned before, oldest first."""
        now = self.clock()
        request = SearchRequest(
            query=self.query,
            since=max(self.since, self._newest - TOLERANCE) if self._newest else self.since,
            until=now + TOLERANCE if self._polled else None,
            order="asc",
            size=PAGE,
            stream=stream_of(self.query),
        )
        while True:
            hits = self.store.search(request).hits
            fresh = [event for event in hits if self._is_new(event, now)]
            self._forget_old()
            yield from fresh
            if len(hits) < PAGE:
                break
            last = time_ranges.microseconds(text_of(hits[-1], "@timestamp")) or 0
            # Without this step, a page whose events all have one millisecond would repeat forever.
            step = 0 if fresh else _MILLISECOND
            request = replace(request, since=time_ranges.to_datetime(last + step))
        self._polled = True

    def _forget_old(self) -> None:
        if self._newest is not None:
            oldest = self._newest - 2 * TOLERANCE
            self._seen = {name: at for name, at in self._seen.items() if at >= oldest}

    def _is_new(self, event: Event, now: datetime) -> bool:
        at = time_ranges.to_datetime(time_ranges.microseconds(text_of(event, "@timestamp")) or 0)
        if at <= now:  # a timestamp in the future does not show how far delivery has come
            self._newest = max(self._newest or at, at)
        name = text_of(event, "event.id")
        if name in self._seen:
            return False
        self._seen[name] = at
        return True
