"""Decisions as a person reads them: each change, and the ticks between two as one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.autoscaler.decision_event import moves
from tidegate.events.event import Event
from tidegate.store.search.event_lines import text_of, value_of

# What else there was to consider stands between the work and the reason why it is another number.
CLAUSE = "; "
CLAUSES_SHOWN = 2


@dataclass(frozen=True, slots=True)
class Interval:
    """Decisions in a row that say the same.

    Attributes:
        first: the earliest.
        last: the latest.
        count: how many they are.
    """

    first: Event
    last: Event
    count: int = 1

    @property
    def moves(self) -> bool:
        """Whether the number changed, or the slots of a replica."""
        return moves(decision_of(self.last))

    @property
    def sentence(self) -> str:
        """Why: as it was decided, a number that was held in short."""
        message = text_of(self.last, "message")
        clauses = _clauses(message)
        if self.moves or len(clauses) <= CLAUSES_SHOWN:
            return message
        return CLAUSE.join([clauses[0], "…", clauses[-1]])


def _clauses(message: str) -> list[str]:
    """The clauses of a sentence; one in parentheses belongs to the clause around it."""
    clauses: list[str] = []
    depth = 0
    for part in message.split(CLAUSE):
        if depth:
            clauses[-1] += CLAUSE + part
        else:
            clauses.append(part)
        depth += part.count("(") - part.count(")")
    return clauses


def _override(decision: Mapping[str, Any]) -> Any:
    return (decision.get("inputs") or {}).get("control")


def decision_of(event: Event) -> Mapping[str, Any]:
    """What an event says of its decision; empty if it says nothing."""
    found = value_of(event, "tidegate.decision")
    return found if isinstance(found, dict) else {}


def merge_unchanged(events: Iterable[Event]) -> Iterator[Interval]:
    """The events, oldest first, with those that only repeat the one before drawn together."""
    current: Interval | None = None
    for event in events:
        if current and _says_the_same(current, event):
            current = Interval(current.first, event, current.count + 1)
            continue
        if current:
            yield current
        current = Interval(event, event)
    if current:
        yield current


def _says_the_same(interval: Interval, event: Event) -> bool:
    before, decision = decision_of(interval.last), decision_of(event)
    names = ("desired", "reason", "policy", "slots")
    same = all(before.get(name) == decision.get(name) for name in names)
    # A pause begins a line of its own, also one that leaves the number as it is.
    same = same and _override(before) == _override(decision)
    return same and not moves(decision) and not interval.moves
