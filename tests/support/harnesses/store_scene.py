"""A store with a day of its own for each test."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from support.store_refresh import refresh
from tidegate.events.event import Event, Origin, make_event
from tidegate.settings import Settings
from tidegate.store.base import EventStore, SearchRequest, SearchResult

ORIGIN = Origin("flights", "1.2.3", "local", "flights-1", "contract")
WINDOW = timedelta(days=1)


@dataclass
class Scene:
    """A store, and a day of its own in which a test's events lie: other tests' are never found."""

    settings: Settings
    store: EventStore
    start: datetime
    made: int = field(default=0)

    def event(self, message: str = "hello", *, seconds: float = 0, **fields: Any) -> Event:
        """An event so long after the scene's start."""
        self.made += 1
        moment = self.start + timedelta(seconds=seconds)
        dataset, stream = fields.pop("dataset", "app"), fields.pop("stream", "logs")
        return make_event(
            ORIGIN,
            dataset,
            message,
            unix_ns=int(moment.timestamp() * 1e6) * 1000,
            stream=stream,
            event_id=f"{self.start:%Y%m%d}-{self.made}",
            fields=fields,
        )

    def day(self) -> dict[str, datetime]:
        """The bounds of its day, in which everything that was stored can be found."""
        refresh(self.store)
        return {"since": self.start, "until": self.start + WINDOW}

    def search(self, query: str = "", **wanted: Any) -> SearchResult:
        return self.store.search(SearchRequest(query=query, **{**self.day(), **wanted}))

    def found(self, query: str, **wanted: Any) -> list[str]:
        """The messages found, oldest first."""
        hits = self.search(query, order="asc", size=10_000, **wanted).hits
        return [str(hit["message"]) for hit in hits]
