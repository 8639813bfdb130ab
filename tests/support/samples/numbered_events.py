"""Events with a number, a second each, and what a store returns of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from tidegate.events.event import Event, Origin, make_event
from tidegate.store.base import SearchRequest
from tidegate.store.embedded.store import EmbeddedReader

ORIGIN: Final = Origin("flights", "1.2.3", "local", "flights-1", "unit")
START: Final = datetime(2026, 3, 1, tzinfo=UTC)


def event(number: int, **more: Any) -> Event:
    """An event at `seconds` after the start."""
    unix_ns = int(START.timestamp() + number) * 10**9
    return make_event(
        ORIGIN, "app", f"number {number}", unix_ns=unix_ns, event_id=f"id-{number}", fields=more
    )


def messages(store: EmbeddedReader, query: str = "") -> list[str]:
    return [hit["message"] for hit in store.search(SearchRequest(query, order="asc")).hits]
