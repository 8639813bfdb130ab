"""The syntax tree of a query, which each store translates into its own query."""

from __future__ import annotations

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
class Exists:
    """Events that have a value in the field."""

    field: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word or a number. A `field` of None means the default field, here and below."""

    field: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text with wildcards."""

    field: str | None
    parts: tuple[str | Wild, ...]


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """A word within an edit distance of `edits`."""

    field: str | None
    text: str
    edits: int


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words in this order; `slop` is the number of position moves allowed."""

    field: str | None
    text: str
    slop: int


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression that matches a whole word or keyword."""

    field: str | None
    pattern: str


@dataclass(frozen=True, slots=True)
class Range:
    """Values between low and high; None leaves that end open."""

    field: str | None
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
