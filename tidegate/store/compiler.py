"""Turns a query's tree into tantivy's query objects, with the meaning Elasticsearch gives to it.

Every field is typed: keywords match whole and by case, text matches by words, numbers and dates by
value. A field outside the catalogue matches nothing, as in an index with `dynamic: false`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NoReturn

import tantivy
from tantivy import FieldType, Occur, Query

from tidegate.store import moments, tree
from tidegate.store.base import QueryError
from tidegate.store.fields import LONG_MAX, LONG_MIN, Kind, Leaf, whole_number

DEFAULT_FIELD: Final = "message"
NAMES_FIELD: Final = "_fields"
_ESCAPED: Final = frozenset("\\.+*?()|[]{}^$#&-~")
Tokens = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles trees for one index.

    Attributes:
        schema: the index's.
        searcher: of the index now; string ranges look at the terms that there are.
        catalogue: the fields that can be searched.
        tokens: how text is cut into words.
        now: what `now` means in a query.
    """

    schema: tantivy.Schema
    searcher: tantivy.Searcher
    catalogue: dict[str, Leaf]
    tokens: Tokens
    now: datetime

    def compile(self, node: tree.Node) -> Query:
        """The tree as a query.

        Raises:
            QueryError: a value does not fit its field's type.
        """
        if isinstance(node, tree.Everything):
            return Query.all_query()
        if isinstance(node, tree.Exists):
            return Query.term_query(self.schema, NAMES_FIELD, node.field, "basic")
        if isinstance(node, tree.Group):
            return self._group(node)
        leaf = self.catalogue.get(node.field or DEFAULT_FIELD)
        if leaf is None:
            return Query.empty_query()
        compilers: dict[type, Callable[[Leaf, Any], Query]] = {
            tree.Word: self._word,
            tree.Phrase: self._phrase,
            tree.Range: self._range,
            tree.Pattern: self._pattern,
            tree.Regex: self._regex,
            tree.Fuzzy: self._fuzzy,
        }
        return compilers[type(node)](leaf, node)

    def _group(self, group: tree.Group) -> Query:
        parts = [(Occur.Must, self.compile(node)) for node in group.must]
        shoulds = [(Occur.Should, self.compile(node)) for node in group.should]
        if not parts and shoulds:
            parts = [(Occur.Must, Query.boolean_query(shoulds))]
        # Next to a must, a should only raises the score, which nobody asks for.
        if not parts:
            parts = [(Occur.Must, Query.all_query())]
        nots = [(Occur.MustNot, self.compile(node)) for node in group.must_not]
        return Query.boolean_query([*parts, *nots])

    def _word(self, leaf: Leaf, word: tree.Word) -> Query:
        return self._value(leaf, word.text)

    def _value(self, leaf: Leaf, text: str) -> Query:
        match leaf.kind:
            case Kind.KEYWORD:
                return Query.term_query(self.schema, leaf.path, text, "basic")
            case Kind.TEXT:
                words = self.tokens(text)
                terms = [(Occur.Should, self._text_term(leaf, word)) for word in words]
                return Query.boolean_query(terms) if terms else Query.empty_query()
            case Kind.BOOLEAN:
                if text not in ("true", "false"):
                    self._misfit(leaf, text, "true or false")
                return Query.term_query(self.schema, leaf.path, text == "true")
            case Kind.LONG | Kind.DOUBLE | Kind.DATE:
                return self._range(leaf, tree.Range(leaf.path, text, text, True, True))

    def _text_term(self, leaf: Leaf, word: str) -> Query:
        return Query.term_query(self.schema, leaf.path, word)

    def _phrase(self, leaf: Leaf, phrase: tree.Phrase) -> Query:
        if leaf.kind is not Kind.TEXT:
            return self._value(leaf, phrase.text)
        words = self.tokens(phrase.text)
        if len(words) > 1:
            return Query.phrase_query(self.schema, leaf.path, list(words), phrase.slop)
        return self._text_term(leaf, words[0]) if words else Query.empty_query()

    def _pattern(self, leaf: Leaf, pattern: tree.Pattern) -> Query:
        text = _wildcard(pattern.parts, lower=leaf.kind is Kind.TEXT)
        return self._regex(leaf, tree.Regex(pattern.field, text))

    def _regex(self, leaf: Leaf, regex: tree.Regex) -> Query:
        self._only_strings(leaf, "wildcards and regular expressions")
        try:
            return Query.regex_query(self.schema, leaf.path, regex.pattern)
        except ValueError as error:
            reason = str(error).strip().splitlines()[-1].removeprefix("error: ")
            raise QueryError(
                f"cannot read the query: {leaf.path}:/{regex.pattern}/: {reason}"
            ) from error

    def _fuzzy(self, leaf: Leaf, fuzzy: tree.Fuzzy) -> Query:
        self._only_strings(leaf, "a fuzzy search")
        word = fuzzy.text.lower() if leaf.kind is Kind.TEXT else fuzzy.text
        return Query.fuzzy_term_query(self.schema, leaf.path, word, fuzzy.edits)

    def _only_strings(self, leaf: Leaf, what: str) -> None:
        if leaf.kind not in (Kind.KEYWORD, Kind.TEXT):
            raise QueryError(f"{leaf.path} is a {leaf.kind}: {what} cannot be used on it")

    def _range(self, leaf: Leaf, asked: tree.Range) -> Query:
        match leaf.kind:
            case Kind.KEYWORD | Kind.TEXT:
                return self._string_range(leaf, asked)
            case Kind.LONG:
                return self._long_range(leaf, asked)
            case Kind.DOUBLE:
                return self._double_range(leaf, asked)
            case Kind.DATE:
                return self._date_range(leaf, asked)
            case Kind.BOOLEAN:
                raise QueryError(f"{leaf.path} is true or false: it has no range")

    def _string_range(self, leaf: Leaf, asked: tree.Range) -> Query:
        """Every term between the bounds; tantivy has no range over text."""
        low, high = asked.low, asked.high
        terms = [
            term
            for term, _ in self.searcher.terms_with_prefix(leaf.path, "")
            if (low is None or term > low or (asked.include_low and term == low))
            and (high is None or term < high or (asked.include_high and term == high))
        ]
        return Query.term_set_query(self.schema, leaf.path, terms)

    def _long_range(self, leaf: Leaf, asked: tree.Range) -> Query:
        low, high = LONG_MIN, LONG_MAX
        if asked.low is not None:
            bound = self._number(leaf, asked.low)
            low = math.ceil(bound) if asked.include_low else math.floor(bound) + 1
        if asked.high is not None:
            bound = self._number(leaf, asked.high)
            high = math.floor(bound) if asked.include_high else math.ceil(bound) - 1
        return self._integers(leaf, low, high)

    def _double_range(self, leaf: Leaf, asked: tree.Range) -> Query:
        low, high = (
            None if bound is None else self._float(leaf, bound) for bound in (asked.low, asked.high)
        )
        if low is None and high is None:
            return Query.term_query(self.schema, NAMES_FIELD, leaf.path, "basic")
        return Query.range_query(
            self.schema,
            leaf.path,
            FieldType.Float,
            low,
            high,
            asked.include_low or low is None,
            asked.include_high or high is None,
        )

    def _date_range(self, leaf: Leaf, asked: tree.Range) -> Query:
        low, high = LONG_MIN, LONG_MAX
        if asked.low is not None:
            span = self._span(leaf, asked.low)
            low = span.start if asked.include_low else span.end
        if asked.high is not None:
            span = self._span(leaf, asked.high)
            high = (span.end if asked.include_high else span.start) - 1
        return self._integers(leaf, low, high)

    def _integers(self, leaf: Leaf, low: int, high: int) -> Query:
        """From low to high, both included."""
        low, high = max(low, LONG_MIN), min(high, LONG_MAX)
        if low > high:
            return Query.empty_query()
        return Query.range_query(self.schema, leaf.path, FieldType.Integer, low, high)

    def _number(self, leaf: Leaf, text: str) -> int | float:
        number = whole_number(text)
        if number is None:
            self._misfit(leaf, text, "a number")
        return number

    def _float(self, leaf: Leaf, text: str) -> float:
        try:
            return float(self._number(leaf, text))
        except OverflowError:
            self._misfit(leaf, text, "a number of this size")

    def _span(self, leaf: Leaf, text: str) -> moments.Span:
        span = moments.span(text, self.now)
        if span is None:
            self._misfit(leaf, text, "a date in ISO 8601, or now, or now-5m")
        return span

    def _misfit(self, leaf: Leaf, text: str, wanted: str) -> NoReturn:
        raise QueryError(f"{leaf.path} is a {leaf.kind}: {text!r} is not {wanted}")


def _wildcard(parts: tuple[str | tree.Wild, ...], *, lower: bool) -> str:
    """A regular expression for a pattern; `(?s:…)` so that a wildcard passes line ends."""
    pattern = ""
    for part in parts:
        if part is tree.Wild.ANY:
            pattern += "(?s:.*)"
        elif part is tree.Wild.ONE:
            pattern += "(?s:.)"
        elif isinstance(part, str):
            text = part.lower() if lower else part
            pattern += "".join(f"\\{char}" if char in _ESCAPED else char for char in text)
    return pattern
