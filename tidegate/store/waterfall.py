"""The spans of a trace as a waterfall: nested by their parents, drawn to scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from tidegate.events import Event
from tidegate.store import moments
from tidegate.store.lines import text_of, value_of

_GAP: Final = 2
_SHORTEST_BAR: Final = 20
_UNITS: Final = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns"))


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it is drawn.

    Attributes:
        id: its id.
        parent: its parent's id; empty if it has none.
        name: what was done.
        node: who did it.
        start_ns: nanoseconds since 1970.
        duration_ns: how long.
        failed: whether it failed.
    """

    id: str
    parent: str
    name: str
    node: str
    start_ns: int
    duration_ns: int
    failed: bool

    @property
    def end_ns(self) -> int:
        """Nanoseconds since 1970."""
        return self.start_ns + self.duration_ns


def span_of(event: Event) -> Span:
    """The span that an event tells of; what the event lacks is empty or 0."""
    duration = value_of(event, "event.duration")
    duration_ns = int(duration) if isinstance(duration, int | float) and duration >= 0 else 0
    start = moments.microseconds(text_of(event, "event.start"))
    if start is None:  # then it ended when its line was written
        end = moments.microseconds(text_of(event, "@timestamp")) or 0
        start = end - duration_ns // 1000
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
    """Each span with its depth, parents before children, by their start.

    A span whose parent is not there is a root; so is one of a circle of parents.
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


def draw(spans: Sequence[Span], width: int) -> list[Text]:
    """A line for each span, at most `width` columns wide where that leaves room for the bars."""
    rows = nested(spans)
    if not rows:
        return []
    labels = [f"{'  ' * depth}{span.name}" for depth, span in rows]
    times = [duration(span.duration_ns) for _, span in rows]
    start = min(span.start_ns for _, span in rows)
    whole = max(1, max(span.end_ns for _, span in rows) - start)
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
    """A length of time with three digits: `1.5 s`, `35 ms`, `120 µs`."""
    for size, unit in _UNITS:
        if nanoseconds >= size:
            return (
                f"{nanoseconds / size:.3g} {unit}"
                if nanoseconds < 1000 * size
                else (f"{nanoseconds / size:.0f} {unit}")
            )
    return "0 ns"
