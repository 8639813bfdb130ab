"""The syntax tree of a query, which each store translates into its own query."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

# Texts are split into at most so many tokens: a character of some scripts is a word.
_WORD: Final = re.compile(r"[A-Za-z0-9_]+|[^\x00-\x7f]")


class Wild(Enum):
    """A wildcard in a pattern."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Everything:
    """Every event."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition on a field, None of which means the default one; `place` is where it begins and ends."""

    field: str | None
    place: tuple[int, int] | None = dataclasses.field(default=None, compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Exists:
    """Events that have a value in the field."""

    field: str


@dataclass(frozen=True, slots=True)
class Word(Clause):
    """A word or a number."""

    text: str


@dataclass(frozen=True, slots=True)
class Pattern(Clause):
    """Text with wildcards."""

    parts: tuple[str | Wild, ...]


@dataclass(frozen=True, slots=True)
class Fuzzy(Clause):
    """A word within an edit distance of `edits`."""

    text: str
    edits: int


@dataclass(frozen=True, slots=True)
class Phrase(Clause):
    """Words in this order; `slop` is the number of position moves allowed."""

    text: str
    slop: int


@dataclass(frozen=True, slots=True)
class Regex(Clause):
    """A regular expression that matches a whole word or keyword."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Range(Clause):
    """Values between low and high; None leaves that end open."""

    low: str | None
    high: str | None
    include_low: bool
    include_high: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Matches all of `must`, none of `must_not`, and, if `must` is empty, one of `should`."""

    must: tuple[Node, ...]
    should: tuple[Node, ...]
    must_not: tuple[Node, ...]


Node = Everything | Exists | Word | Pattern | Fuzzy | Phrase | Regex | Range | Group


def size(node: Node) -> int:
    """Return the number of conditions in the query, where each word of a text is one."""
    match node:
        case Group():
            return sum(size(part) for part in (*node.must, *node.should, *node.must_not))
        case Word(text=text) | Phrase(text=text):
            return max(1, len(_WORD.findall(text)))
        case _:
            return 1


def fields(node: Node) -> set[str]:
    """Return the names of the fields in the query."""
    if isinstance(node, Group):
        return {
            name for part in (*node.must, *node.should, *node.must_not) for name in fields(part)
        }
    if isinstance(node, Everything) or node.field is None:
        return set()
    return {node.field}
