"""How the pages show a trace: its spans to scale, with the log lines on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tidegate.console.event_view import MESSAGE, Line, line
from tidegate.events.event import Event
from tidegate.store.base import EventStore, SearchRequest
from tidegate.store.requests import MAX_HITS
from tidegate.store.search import waterfall
from tidegate.store.search.event_lines import text_of, time_of, value_of
from tidegate.store.search.waterfall import Span

ROOTS: Final = "(span.kind:server OR (*:* NOT _exists_:parent.id))"
"""The spans of the list of traces; see `is_root`."""
# Deeper spans are indented no further.
MAX_INDENT: Final = 8


@dataclass(frozen=True, slots=True)
class Mark:
    """A log line on a span: its place in percent of the trace, and the line."""

    at: float
    line: Line


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A span of the waterfall: its place and its width in percent, and the log lines on it."""

    span: Span
    indent: int
    duration: str
    at: float
    width: float
    marks: list[Mark]


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace. `lines` are all its events in order, each with the time since the start of the trace."""

    id: str
    title: str
    start: str
    duration: str
    outcome: str
    tone: str
    spans: list[SpanRow]
    lines: list[tuple[str, Line]]
    others: int
    """Events beyond those that a search returns."""


def events_of(store: EventStore, trace_id: str) -> tuple[list[Event], int]:
    """Return the events of a trace, oldest first, and how many more there are."""
    found = store.search(SearchRequest(f"trace.id:{trace_id}", order="asc", size=MAX_HITS))
    return found.hits, found.total - len(found.hits)


def trace_of(trace_id: str, events: Sequence[Event], others: int, scale_ns: int = 0) -> Trace:
    """Return a trace of its events, at least one.

    Args:
        trace_id: Its id.
        events: Its events, oldest first.
        others: The number of its events that are missing here.
        scale_ns: What the whole width means; 0 is the duration of the trace.
    """
    spans = spans_of(events)
    lines = [(event, line(event, (MESSAGE,))) for event in events]
    first, whole = waterfall.extent(spans or [waterfall.span_of(event) for event in events])
    scale = scale_ns or whole
    nested = waterfall.nested(spans)
    root = nested[0][1] if nested else None
    logs: dict[str, list[Mark]] = {}
    for event, one in lines:
        if not is_span(event):
            mark = Mark(_percent(_at(event) - first, scale), one)
            logs.setdefault(text_of(event, "span.id"), []).append(mark)
    rows = []
    for depth, span in nested:
        marks = logs.get(span.id, []) if span.id else []
        place = _percent(span.start_ns - first, scale)
        width = max(0.2, min(100 - place, span.duration_ns / scale * 100))
        shown = waterfall.duration(span.duration_ns)
        rows.append(SpanRow(span, min(depth, MAX_INDENT), shown, place, width, marks))
    # As in the list of traces: a request that answered has not failed, whatever failed inside.
    roots = [event for event in events if is_root(event)]
    failed = any(value_of(event, "event.outcome") == "failure" for event in roots or events)
    warned = any(span.failed for span in spans) or any(one.tone for _, one in lines)
    outcome, tone = (
        ("failure", "bad") if failed else ("warning", "warn") if warned else ("success", "good")
    )
    return Trace(
        id=trace_id,
        title=root.name if root else text_of(events[0], MESSAGE),
        start=line(events[0], ()).at,
        duration=waterfall.duration(whole) if spans else "",
        outcome=outcome,
        tone=tone,
        spans=rows,
        lines=[(_offset(_at(event) - first), one) for event, one in lines],
        others=others,
    )


def whole_ns(events: Sequence[Event]) -> int:
    """Return the time from the start of the first span to the end of the last one."""
    return waterfall.extent(spans_of(events))[1] if any(map(is_span, events)) else 1


def subtree(events: Sequence[Event], span_id: str) -> list[Event]:
    """Return the events of a span and of all below it; of the whole trace if the id is empty."""
    if not span_id:
        return list(events)
    wanted = waterfall.subtree(spans_of(events), span_id)
    return [event for event in events if text_of(event, "span.id") in wanted]


def spans_of(events: Sequence[Event]) -> list[Span]:
    """Return the spans among events."""
    return [waterfall.span_of(event) for event in events if is_span(event)]


def is_span(event: Event) -> bool:
    """Whether an event is a span, and not a log line."""
    return bool(value_of(event, "data_stream.type") == "traces")


def is_root(event: Event) -> bool:
    """Whether `ROOTS` finds it: a request that a service received, or a span that no other has caused."""
    server = value_of(event, "span.kind") == "server"
    return is_span(event) and (server or not value_of(event, "parent.id"))


def _at(event: Event) -> int:
    return (time_of(event) or 0) * 1000


def _percent(ns: int, scale: int) -> float:
    return min(100.0, max(0.0, ns / scale * 100))


def _offset(ns: int) -> str:
    return f"{ns / 1e6:+,.1f} ms"
