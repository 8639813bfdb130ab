"""A trace: its spans and its log lines, from the store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

from tidegate.events.event import Event
from tidegate.store.base import EventStore, SearchRequest
from tidegate.store.fields import time_of
from tidegate.store.requests import MAX_HITS
from tidegate.store.search import waterfall
from tidegate.store.search.event_lines import text_of, tone, value_of
from tidegate.store.search.waterfall import Span, span_of

# The roots of traces: a request that a service received, or a span that no other has caused.
ROOTS: Final = "(span.kind:server OR (*:* NOT _exists_:parent.id))"
_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Trace:
    """A trace: its events, oldest first, and the number of others, beyond those that a search returns."""

    id: str
    events: Sequence[Event]
    others: int

    @classmethod
    def read(cls, store: EventStore, text: str) -> Self:
        """Return the one with an id, without events if the store has none.

        Raises:
            ValueError: The text is no id of a trace.
            StoreUnavailableError: The store cannot be searched now.
        """
        trace_id = text.strip().lower()
        if not _ID.fullmatch(trace_id):
            raise ValueError(
                f"{text!r} is not a valid trace id: it must have 32 hexadecimal digits"
            )
        request = SearchRequest(f"trace.id:{trace_id}", order="asc", size=MAX_HITS, everyone=True)
        found = store.search(request)
        return cls(trace_id, found.hits, found.total - len(found.hits))

    @cached_property
    def spans(self) -> Sequence[tuple[int, Span]]:
        """Its spans with their depth, parents before children."""
        return waterfall.nested([span_of(event) for event in self.events if _is_span(event)])

    @cached_property
    def lines(self) -> Sequence[Event]:
        """Its log lines, oldest first."""
        return [event for event in self.events if not _is_span(event)]

    @cached_property
    def lines_of(self) -> Mapping[str, Sequence[Event]]:
        """Its log lines by the id of their span."""
        found: dict[str, list[Event]] = {}
        for event in self.lines:
            found.setdefault(text_of(event, "span.id"), []).append(event)
        return found

    @property
    def outcome(self) -> str:
        """`failure` if a span that `ROOTS` finds failed, `warning` if something else did, or `success`."""
        roots = [
            event
            for event in self.events
            if _is_span(event)
            and (value_of(event, "span.kind") == "server" or not value_of(event, "parent.id"))
        ]
        if any(value_of(event, "event.outcome") == "failure" for event in roots or self.events):
            return "failure"
        warned = any(span.failed for _, span in self.spans) or any(map(tone, self.events))
        return "warning" if warned else "success"

    @cached_property
    def extent(self) -> tuple[int, int]:
        """The start of its first span, or line, and the time to the end of the last one, in nanoseconds."""
        return waterfall.extent([span for _, span in self.spans] or [*map(span_of, self.events)])

    def after(self, event: Event) -> int:
        """Return the time from its start to an event, in nanoseconds."""
        return (time_of(event) or 0) * 1000 - self.extent[0]

    def below(self, span_id: str) -> Sequence[Event]:
        """Return the events of a span and of all below it; all if the id is empty."""
        if not span_id:
            return self.events
        wanted = waterfall.subtree([span for _, span in self.spans], span_id)
        return [event for event in self.events if text_of(event, "span.id") in wanted]


def _is_span(event: Event) -> bool:
    return bool(value_of(event, "data_stream.type") == "traces")
