"""The autoscaler's decisions that changed something, as the pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tidegate.autoscaler.audit.intervals import QUERY, decision_of
from tidegate.autoscaler.decision_event import format_size, is_change
from tidegate.console.sources import Sources, between
from tidegate.events.event import Event
from tidegate.store.query import time_ranges
from tidegate.store.search.event_lines import text_of

CHANGES: Final = f"{QUERY} AND tidegate.decision.changed:true"
MAX_CHANGES: Final = 500


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that changed the number of replicas or their slots.

    Attributes:
        at: seconds since 1970.
        before: the size before it, as text.
        after: the size after it.
        up: whether there are more replicas, or as many with more slots.
        reason: one word, such as `up`.
        sentence: why, for a person.
    """

    at: float
    before: str
    after: str
    up: bool
    reason: str
    sentence: str

    def mark(self) -> dict[str, Any]:
        """It as a mark on the time axis."""
        return {
            "at": self.at,
            "up": self.up,
            "label": f"{self.before} → {self.after}",
            "text": self.sentence,
        }


async def read_changes(
    sources: Sources, begin: float, end: float, size: int = MAX_CHANGES
) -> list[Change]:
    """The last changes between two times in seconds since 1970, newest first.

    Raises:
        StoreUnavailableError: the store cannot be searched now.
    """
    found = await sources.search(between(begin, end, CHANGES, size=size))
    return [change for event in found.hits if (change := _change(event))]


def _change(event: Event) -> Change | None:
    decision = decision_of(event)
    if not is_change(decision):
        return None
    slots = (decision.get("signals") or {}).get("slots_asked") if "slots" in decision else None
    before = decision.get("previous"), slots
    after = decision.get("desired"), decision.get("slots")
    return Change(
        seconds_of(event),
        format_size(*before),
        format_size(*after),
        _order(after) > _order(before),
        str(decision.get("reason")),
        text_of(event, "message"),
    )


def _order(size: tuple[Any, Any]) -> list[float]:
    # Events come from files: a number may be anything.
    return [one if isinstance(one, int | float) else 0 for one in size]


def seconds_of(event: Event) -> float:
    """The time of an event in seconds since 1970; 0 if it has none."""
    return (time_ranges.microseconds(text_of(event, "@timestamp")) or 0) / 1e6
