"""Groups decisions for display: each change, and the unchanged ticks between two changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tidegate.autoscaler.decision_event import format_size, is_change
from tidegate.events.event import Event
from tidegate.store.search.event_lines import text_of, value_of

QUERY: Final = "event.dataset:tidegate.decision"
# The most useful signals; the others are in the JSON.
SIGNALS: Final = {
    "rate/s": "arrival_rate",
    "slot, s": "service_seconds",
    "system": "in_system",
    "ready": "ready",
    "latency, s": "latency_seconds",
    "age, s": "age_seconds",
}
Size = tuple[Any, Any]
"""As recorded: events come from files, so that a number may be anything."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Consecutive decisions with the same result."""

    first: Event
    last: Event
    count: int = 1

    @property
    def is_change(self) -> bool:
        """Whether the number of replicas or their slots changed."""
        return is_change(decision_of(self.last))

    @property
    def sizes(self) -> tuple[Size, Size]:
        """The replicas and the slots of each, before and after it; None for slots that were not decided."""
        decision = decision_of(self.last)
        slots = decision.get("slots")
        before = None if slots is None else (decision.get("signals") or {}).get("slots_asked")
        return (decision.get("previous"), before), (decision.get("desired"), slots)

    @property
    def size(self) -> str:
        """The number after it, and the slots, as text."""
        return format_size(*self.sizes[1])

    @property
    def step(self) -> str:
        """The number before and after it as text."""
        return f"{format_size(*self.sizes[0])} → {self.size}"

    @property
    def reason(self) -> str:
        """The reason in one word, such as `up`."""
        return str(decision_of(self.last).get("reason"))

    @property
    def signals(self) -> list[str]:
        """The values of `SIGNALS` as text."""
        seen = decision_of(self.last).get("signals") or {}
        return [_number_text(seen.get(name)) for name in SIGNALS.values()]

    @property
    def sentence(self) -> str:
        """The explanation, of the last one if nothing changed."""
        return text_of(self.last, "message")


def _override(decision: Mapping[str, Any]) -> Any:
    return (decision.get("inputs") or {}).get("control")


def decision_of(event: Event) -> Mapping[str, Any]:
    """The decision in an event; empty if there is none, or if its signals or inputs are no object."""
    found = value_of(event, "tidegate.decision")
    if not isinstance(found, dict):
        return {}
    objects = (found.get(name) or {} for name in ("signals", "inputs"))
    return found if all(isinstance(one, dict) for one in objects) else {}


def merge_unchanged(events: Iterable[Event]) -> Iterator[Interval]:
    """The events, oldest first, with unchanged consecutive ones merged."""
    current: Interval | None = None
    for event in events:
        if current and _is_unchanged(current, event):
            current = Interval(current.first, event, current.count + 1)
            continue
        if current:
            yield current
        current = Interval(event, event)
    if current:
        yield current


def _is_unchanged(interval: Interval, event: Event) -> bool:
    before, decision = decision_of(interval.last), decision_of(event)
    names = ("desired", "reason", "policy", "slots")
    same = all(before.get(name) == decision.get(name) for name in names)
    # A pause begins a new interval even if the number stays.
    same = same and _override(before) == _override(decision)
    return same and not is_change(decision) and not interval.is_change


def _number_text(value: Any) -> str:
    """A signal as text; a dash if it is missing."""
    if value is None:
        return "–"  # noqa: RUF001
    return f"{value:.3g}" if isinstance(value, float) else str(value)
