"""Parses a Lucene query string into a tree.

The grammar is that of Lucene's classic query parser, which Elasticsearch's `query_string` uses; so is
the binding of AND, OR and NOT (`_Clauses`). Boosts (`^2`) are parsed and ignored, as events are sorted
by time. Why not a library: luqum reads `a && b`, `!a` and `x:a/b` with another meaning and refuses valid
ranges, and its grammar cannot be extended (docs/adr/tantivy-as-the-embedded-store.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, NoReturn

from tidegate.store.base import QueryError
from tidegate.store.query import tree
from tidegate.store.query.tree import (
    Clause,
    Everything,
    Exists,
    Fuzzy,
    Group,
    Node,
    Pattern,
    Phrase,
    Range,
    Regex,
    Wild,
    Word,
)

# More than a person types, and far below Python's recursion limit.
MAX_DEPTH: Final = 50
# Lucene's default limit of clauses; a phrase of 5,000 words with slop takes 23 s.
MAX_CLAUSES: Final = 1024
MAX_CHARACTERS: Final = 65_536
_SPACE: Final = " \t\n\r\u3000"
_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f]{4}")
_SPECIAL: Final = frozenset(_SPACE + '+-!():^[]"{}~*?\\/')


def parse(query: str) -> Node:
    """Return the tree of a query; an empty query matches every event.

    Raises:
        QueryError: The query is invalid; the message shows the position and the reason.
    """
    if len(query) > MAX_CHARACTERS:
        raise QueryError(
            f"the query has {len(query)} characters; at most {MAX_CHARACTERS} are possible"
        )
    node = _Parser(query).parse()
    if (count := tree.size(node)) > MAX_CLAUSES:
        raise QueryError(
            f"the query has {count} words and conditions; at most {MAX_CLAUSES} are possible: split it into"
            " several queries"
        )
    return node


class _Occur(Enum):
    MUST = 1
    SHOULD = 2
    MUST_NOT = 3


@dataclass(slots=True)
class _Clauses:
    """Collects clauses as QueryParserBase.addClause does with OR as the default operator."""

    nodes: list[Node] = field(default_factory=list)
    occurs: list[_Occur] = field(default_factory=list)

    def add(self, node: Node, conjunction: str, modifier: str) -> None:
        # AND also makes the preceding clause required, unless that clause is negated.
        if self.occurs and conjunction == "AND" and self.occurs[-1] is not _Occur.MUST_NOT:
            self.occurs[-1] = _Occur.MUST
        if modifier == "-":
            occur = _Occur.MUST_NOT
        elif modifier == "+" or conjunction == "AND":
            occur = _Occur.MUST
        else:
            occur = _Occur.SHOULD
        self.nodes.append(node)
        self.occurs.append(occur)

    def node(self) -> Node:
        if len(self.nodes) == 1 and self.occurs[0] is not _Occur.MUST_NOT:
            return self.nodes[0]
        return Group(*(self._of(occur) for occur in _Occur))

    def _of(self, wanted: _Occur) -> tuple[Node, ...]:
        pairs = zip(self.nodes, self.occurs, strict=True)
        return tuple(node for node, occur in pairs if occur is wanted)


@dataclass(slots=True)
class _Parser:
    query: str
    at: int = 0
    depth: int = 0

    def parse(self) -> Node:
        self._skip_space()
        if self.at == len(self.query):
            return Everything()
        node = self._clauses(None)
        if self.at < len(self.query):
            self._fail("unmatched closing parenthesis")
        return node

    def _clauses(self, name: str | None) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._fail(f"more than {MAX_DEPTH} nested parentheses")
        clauses = _Clauses()
        while True:
            self._skip_space()
            conjunction = self._conjunction() if clauses.nodes else ""
            self._skip_space()
            if self.at == len(self.query) or self._peek() == ")":
                if conjunction or not clauses.nodes:
                    self._fail(
                        f"expected a clause after {conjunction}"
                        if conjunction
                        else "expected a clause"
                    )
                break
            modifier = self._modifier()
            clauses.add(self._clause(name), conjunction, modifier)
        self.depth -= 1
        return clauses.node()

    def _conjunction(self) -> str:
        if self._take_word("AND") or self._take("&&"):
            return "AND"
        return "OR" if self._take_word("OR") or self._take("||") else ""

    def _modifier(self) -> str:
        found = ""
        if self._take_word("NOT") or self._take("!") or self._take("-"):
            found = "-"
        elif self._take("+"):
            found = "+"
        self._skip_space()
        return found

    def _clause(self, name: str | None) -> Node:
        start = self.at
        if self._take("*:*"):
            self._boost()
            return Everything()
        if named := self._field_name():
            if named == "_exists_":
                self._skip_space()
                return Exists(self._plain_word())
            name = named
            self._skip_space()
        else:
            self.at = start
        if self._take("("):
            node = self._clauses(name)
            if not self._take(")"):
                self._fail("missing closing parenthesis")
            self._boost()
            return node
        node = self._value(name)
        if isinstance(node, Clause):
            node = replace(node, place=(start, self.at))
        self._boost()
        return node

    def _field_name(self) -> str | None:
        if not self._starts_term():
            return None
        text, wild = self._term()
        return text if not wild and self._take(":") else None

    def _value(self, name: str | None) -> Node:
        readers = {
            '"': self._phrase,
            "/": self._regex,
            "[": self._range,
            "{": self._range,
            "<": self._comparison,
            ">": self._comparison,
        }
        return readers.get(self._peek(), self._word)(name)

    def _word(self, name: str | None) -> Node:
        if not (self._starts_term() or self._peek() in ("*", "?")):
            self._fail("expected a value; put special characters in quotes")
        start = self.at
        text, parts = self._term()
        if parts == (Wild.ANY,):
            return Exists(name) if name else Everything()
        if parts:
            return Pattern(name, parts)
        # The classic parser reads these as operators wherever they are not quoted or escaped.
        if self.query[start : self.at] in ("AND", "OR", "NOT"):
            self._fail(f"unexpected operator {text}; quote it to search for the word")
        return Fuzzy(name, text, self._number(2, 2)) if self._take("~") else Word(name, text)

    def _phrase(self, name: str | None) -> Node:
        text = self._quoted()
        return Phrase(name, text, self._number(0, 1000) if self._take("~") else 0)

    def _regex(self, name: str | None) -> Node:
        start = self.at
        self.at += 1
        pattern = ""
        while self._peek() != "/":
            if self.at >= len(self.query):
                self.at = start
                self._fail("unterminated regular expression; quote the /, or escape it as \\/")
            if self.query.startswith("\\/", self.at):
                self.at += 1
            pattern += self.query[self.at]
            self.at += 1
        self.at += 1
        return Regex(name, pattern)

    def _range(self, name: str | None) -> Node:
        include_low = self.query[self.at] == "["
        self.at += 1
        low = self._bound()
        if not self._take_word("TO"):
            self._fail("expected TO: a range has the form [low TO high]")
        high = self._bound()
        closing = self._peek()
        if closing not in ("]", "}"):
            self._fail("expected ] or } at the end of the range")
        self.at += 1
        return Range(name, low, high, include_low, include_high=closing == "]")

    def _bound(self) -> str | None:
        self._skip_space()
        if self._peek() == '"':
            text = self._quoted()
        else:
            text = ""
            while self._peek() and self._peek() not in _SPACE + "]}":
                text += self._character()
            if not text:
                self._fail("expected a range bound; * leaves this end of the range open")
        self._skip_space()
        return None if text == "*" else text

    def _comparison(self, name: str | None) -> Node:
        if name is None:
            self._fail("a comparison needs a field, for example event.duration:>5")
        above = self.query[self.at] == ">"
        self.at += 1
        include = self._take("=")
        self._skip_space()
        text = self._quoted() if self._peek() == '"' else self._signed_word()
        if above:
            return Range(name, text, None, include, include_high=False)
        return Range(name, None, text, include_low=False, include_high=include)

    def _signed_word(self) -> str:
        sign = "-" if self._take("-") else ""
        return sign + self._plain_word()

    def _plain_word(self) -> str:
        if not self._starts_term():
            self._fail("expected a word; put special characters in quotes")
        text, parts = self._term()
        if parts:
            self._fail("wildcards are not supported here")
        return text

    def _term(self) -> tuple[str, tuple[str | Wild, ...]]:
        """Return the text of a term, and its parts if it contains wildcards."""
        parts: list[str | Wild] = []
        text = ""
        while char := self._peek():
            if char in "*?":
                parts += [text, Wild(char)] if text else [Wild(char)]
                text = ""
            elif char in _SPECIAL and char not in "+-\\":
                break
            else:
                text += self._character()
                continue
            self.at += 1
        if not parts:
            return text, ()
        return "", tuple([*parts, text] if text else parts)

    def _quoted(self) -> str:
        start = self.at
        self.at += 1
        text = ""
        while self._peek() != '"':
            if self.at >= len(self.query):
                self.at = start
                self._fail("unterminated quote")
            text += self._character()
        self.at += 1
        return text

    def _character(self) -> str:
        r"""Consume a character, or an escape sequence such as `\*` or `\u00e9`."""
        char = self._peek()
        self.at += 1
        if char != "\\":
            return char
        char = self._peek()
        if not char:
            self._fail("expected a character after the escape character \\")
        self.at += 1
        if char != "u":
            return char
        digits = self.query[self.at : self.at + 4]
        if not _HEXADECIMAL.fullmatch(digits):
            self._fail("expected four hexadecimal digits after \\u")
        self.at += 4
        return chr(int(digits, 16))

    def _boost(self) -> None:
        if self._take("^"):
            start = self.at
            while self._peek() and self._peek() in "0123456789.":
                self.at += 1
            if not self.query[start : self.at].replace(".", "", 1).isdigit():
                self._fail("expected a number after ^, for example ^2")

    def _number(self, default: int, largest: int) -> int:
        start = self.at
        while self._peek() and self._peek() in "0123456789":
            self.at += 1
        if self._peek() == ".":
            self._fail("expected a whole number after ~")
        digits = self.query[start : self.at]
        if len(digits) > 4 or int(digits or default) > largest:
            self.at = start
            self._fail(f"the number after ~ must be at most {largest}")
        return int(digits or default)

    def _starts_term(self) -> bool:
        return bool(char := self._peek()) and (char not in _SPECIAL or char == "\\")

    def _peek(self) -> str:
        return self.query[self.at : self.at + 1]

    def _take(self, text: str) -> bool:
        found = self.query.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def _take_word(self, word: str) -> bool:
        """Consume an operator unless it is the start of a longer word."""
        after = self.query[self.at + len(word) : self.at + len(word) + 1]
        ends = not after or (after in _SPECIAL and after not in "+-")
        return ends and self._take(word)

    def _skip_space(self) -> None:
        while self._peek() and self._peek() in _SPACE:
            self.at += 1

    def _fail(self, reason: str) -> NoReturn:
        marker = " " * self.at + "^"
        raise QueryError(
            f"cannot parse the query: {reason}\n  {self.query}\n  {marker}",
            reason=reason,
            place=(self.at, self.at + 1),
        )
