"""Reads a search to its end, page by page, and goes on with what arrives later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from tidegate.events import Event
from tidegate.store import moments
from tidegate.store.base import EventStore, SearchRequest
from tidegate.store.lines import text_of

PAGE: Final = 1000
# Events arrive in the order of their delivery, not of their time: so long one may be late and still be
# shown.
LATE: Final = timedelta(seconds=10)
_MILLISECOND: Final = 1000


@dataclass(slots=True)
class Follower:
    """Finds each event once.

    Attributes:
        store: where to look.
        query: what for.
        since: from when on.
    """

    store: EventStore
    query: str
    since: datetime
    _seen: dict[str, int] = field(default_factory=dict)
    _newest: int = 0

    def events(self) -> Iterator[Event]:
        """The events that were not found before, oldest first."""
        late = moments.to_datetime(self._newest) - LATE if self._newest else self.since
        request = SearchRequest(
            query=self.query, since=max(self.since, late), order="asc", size=PAGE
        )
        while True:
            hits = self.store.search(request).hits
            fresh = [event for event in hits if self._take(event)]
            self._forget()
            yield from fresh
            if len(hits) < PAGE:
                break
            last = moments.microseconds(text_of(hits[-1], "@timestamp")) or 0
            # A page of one and the same millisecond would come again and again.
            step = 0 if fresh else _MILLISECOND
            request = replace(request, since=moments.to_datetime(last + step))

    def _forget(self) -> None:
        oldest = self._newest - 2 * LATE // timedelta(microseconds=1)
        self._seen = {name: at for name, at in self._seen.items() if at >= oldest}

    def _take(self, event: Event) -> bool:
        name = text_of(event, "event.id")
        if name in self._seen:
            return False
        at = moments.microseconds(text_of(event, "@timestamp")) or 0
        self._seen[name] = at
        self._newest = max(self._newest, at)
        return True
