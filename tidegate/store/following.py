"""Reads a search to its end, page by page, and goes on with what arrives later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from tidegate.events import Event
from tidegate.store import moments
from tidegate.store.base import EventStore, SearchRequest
from tidegate.store.lines import text_of

PAGE: Final = 1000
# Events arrive in the order of their delivery, not of their time: an event this much older than the newest
# one, or this much ahead of the clock, is found at once.
TOLERANCE: Final = timedelta(seconds=10)
_MILLISECOND: Final = 1000


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Follower:
    """Finds each event once.

    The first look finds every event. Later ones find those up to the present, and an event from the future
    when its time has come: it must not hide the others, and to read the whole future at each look has no
    bound.

    Attributes:
        store: where to look.
        query: what for.
        since: from when on.
        clock: the time.
    """

    store: EventStore
    query: str
    since: datetime
    clock: Callable[[], datetime] = _utc_now
    _seen: dict[str, datetime] = field(default_factory=dict)
    _newest: datetime | None = None
    _looked: bool = False

    def events(self) -> Iterator[Event]:
        """The events that were not found before, oldest first."""
        now = self.clock()
        request = SearchRequest(
            query=self.query,
            since=max(self.since, self._newest - TOLERANCE) if self._newest else self.since,
            until=now + TOLERANCE if self._looked else None,
            order="asc",
            size=PAGE,
        )
        while True:
            hits = self.store.search(request).hits
            fresh = [event for event in hits if self._take(event, now)]
            self._forget()
            yield from fresh
            if len(hits) < PAGE:
                break
            last = moments.microseconds(text_of(hits[-1], "@timestamp")) or 0
            # A page of one and the same millisecond would come again and again.
            step = 0 if fresh else _MILLISECOND
            request = replace(request, since=moments.to_datetime(last + step))
        self._looked = True

    def _forget(self) -> None:
        if self._newest is not None:
            oldest = self._newest - 2 * TOLERANCE
            self._seen = {name: at for name, at in self._seen.items() if at >= oldest}

    def _take(self, event: Event, now: datetime) -> bool:
        at = moments.to_datetime(moments.microseconds(text_of(event, "@timestamp")) or 0)
        if at <= now:  # the future says nothing of how far events have come
            self._newest = max(self._newest or at, at)
        name = text_of(event, "event.id")
        if name in self._seen:
            return False
        self._seen[name] = at
        return True
