"""What a query means, as a tree that each store turns into its own terms."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Wild(Enum):
    """What stands in a wildcard pattern between its texts."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Everything:
    """Every event."""


@dataclass(frozen=True, slots=True)
class Exists:
    """Events that have the field."""

    field: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word or a number. `field` is None for the default field, here as below."""

    field: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text with wildcards."""

    field: str | None
    parts: tuple[str | Wild, ...]


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """A word with so many letters changed, added or left out."""

    field: str | None
    text: str
    edits: int


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words in this order, with so many moves allowed."""

    field: str | None
    text: str
    slop: int


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression over whole words or keywords."""

    field: str | None
    pattern: str


@dataclass(frozen=True, slots=True)
class Range:
    """From low to high; None is no bound."""

    field: str | None
    low: str | None
    high: str | None
    include_low: bool
    include_high: bool


@dataclass(frozen=True, slots=True)
class Group:
    """All of `must`, none of `must_not`, and one of `should` if there is no `must`."""

    must: tuple[Node, ...]
    should: tuple[Node, ...]
    must_not: tuple[Node, ...]


Node = Everything | Exists | Word | Pattern | Fuzzy | Phrase | Regex | Range | Group


def fields(node: Node) -> set[str]:
    """The fields that the query names."""
    if isinstance(node, Group):
        return {
            name for part in (*node.must, *node.should, *node.must_not) for name in fields(part)
        }
    if isinstance(node, Everything) or node.field is None:
        return set()
    return {node.field}
