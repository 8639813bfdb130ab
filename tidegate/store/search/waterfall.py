"""Draws the spans of a trace as a waterfall: nested by parent, to scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tidegate.events.event import Event
from tidegate.store.fields import time_of
from tidegate.store.query import time_ranges
from tidegate.store.search.event_lines import text_of, value_of

if TYPE_CHECKING:
    from rich.text import Text

_GAP: Final = 2
_SHORTEST_BAR: Final = 20
_UNITS: Final = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns"))


@dataclass(frozen=True, slots=True)
class Span:
    """A span to draw; it starts in nanoseconds since 1970, and its parent is empty for a root."""

    id: str
    parent: str
    name: str
    node: str
    start_ns: int
    duration_ns: int
    failed: bool

    @property
    def end_ns(self) -> int:
        """End in nanoseconds since 1970."""
        return self.start_ns + self.duration_ns


def span_of(event: Event) -> Span:
    """Return the span of an event; missing values are empty or 0."""
    duration = value_of(event, "event.duration")
    duration_ns = int(duration) if isinstance(duration, int | float) and duration >= 0 else 0
    start = time_ranges.microseconds(text_of(event, "event.start"))
    if start is None:  # the event was written at the end of the span
        start = (time_of(event) or 0) - duration_ns // 1000
    return Span(
        id=text_of(event, "span.id"),
        parent=text_of(event, "parent.id"),
        name=text_of(event, "span.name") or text_of(event, "message"),
        node=text_of(event, "service.node.name"),
        start_ns=start * 1000,
        duration_ns=duration_ns,
        failed=value_of(event, "event.outcome") == "failure",
    )


def nested(spans: Sequence[Span]) -> list[tuple[int, Span]]:
    """Return each span with its depth, parents before children, sorted by start.

    A span whose parent is missing is a root; so is one span of a cycle.
    """
    ordered = sorted(spans, key=lambda span: (span.start_ns, -span.duration_ns))
    ids = {span.id for span in ordered}
    children: dict[str, list[Span]] = {}
    for span in ordered:
        children.setdefault(span.parent if span.parent in ids else "", []).append(span)
    found: list[tuple[int, Span]] = []
    seen: set[int] = set()
    for root in [*children.get("", []), *ordered]:
        waiting = [(0, root)]
        while waiting:
            depth, span = waiting.pop()
            if id(span) in seen:
                continue
            seen.add(id(span))
            found.append((depth, span))
            below = children.get(span.id, []) if span.id else []
            waiting += [(depth + 1, child) for child in reversed(below)]
    return found


def extent(spans: Sequence[Span]) -> tuple[int, int]:
    """Return the start of the first span, and the time to the end of the last one (at least 1) in ns."""
    start = min(span.start_ns for span in spans)
    return start, max(1, max(span.end_ns for span in spans) - start)


def subtree(spans: Sequence[Span], root: str) -> set[str]:
    """Return the ids of a span and of all below it."""
    children: dict[str, list[str]] = {}
    for span in spans:
        children.setdefault(span.parent, []).append(span.id)
    found, waiting = set[str](), [root]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += children.get(one, [])
    return found


def draw(spans: Sequence[Span], width: int) -> list[Text]:
    """Return a line for each span, at most `width` columns wide unless the bars would be too short."""
    from rich.text import Text  # noqa: PLC0415  5 MB, which the console does without

    rows = nested(spans)
    if not rows:
        return []
    labels = [f"{'  ' * depth}{span.name}" for depth, span in rows]
    times = [duration(span.duration_ns) for _, span in rows]
    start, whole = extent(spans)
    label_width, time_width = max(map(len, labels)), max(map(len, times))
    bar_width = max(_SHORTEST_BAR, width - label_width - time_width - 2 * _GAP)
    lines = []
    for (_, span), label, time in zip(rows, labels, times, strict=True):
        before = min(bar_width - 1, (span.start_ns - start) * bar_width // whole)
        length = max(1, round(span.duration_ns * bar_width / whole))
        bar = " " * before + "━" * min(length, bar_width - before)
        line = Text(f"{label:{label_width + _GAP}}")
        line.append(f"{time:>{time_width}}{' ' * _GAP}", style="dim")
        line.append(bar, style="red" if span.failed else "cyan")
        lines.append(line)
    return lines


def duration(nanoseconds: int) -> str:
    """Format a duration with three significant digits: `1.5 s`, `35 ms`, `120 µs`."""
    for size, unit in _UNITS:
        if nanoseconds >= size:
            digits = ".3g" if nanoseconds < 1000 * size else ".0f"
            return f"{nanoseconds / size:{digits}} {unit}"
    return "0 ns"
