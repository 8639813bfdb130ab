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
class Stretch:
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


def _control(told: Mapping[str, Any]) -> Any:
    return (told.get("inputs") or {}).get("control")


def decision_of(event: Event) -> Mapping[str, Any]:
    """What an event says of its decision; empty if it says nothing."""
    found = value_of(event, "tidegate.decision")
    return found if isinstance(found, dict) else {}


def stretches(events: Iterable[Event]) -> Iterator[Stretch]:
    """The events, oldest first, with those that only repeat the one before drawn together."""
    held: Stretch | None = None
    for event in events:
        if held and _says_the_same(held, event):
            held = Stretch(held.first, event, held.count + 1)
            continue
        if held:
            yield held
        held = Stretch(event, event)
    if held:
        yield held


def _says_the_same(stretch: Stretch, event: Event) -> bool:
    before, told = decision_of(stretch.last), decision_of(event)
    names = ("desired", "reason", "policy", "slots")
    same = all(before.get(name) == told.get(name) for name in names)
    # A pause begins a line of its own, also one that leaves the number as it is.
    same = same and _control(before) == _control(told)
    return same and not moves(told) and not stretch.moves
