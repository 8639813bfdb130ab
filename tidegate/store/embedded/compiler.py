"""Compiles a query's tree into tantivy's query objects, with the semantics of Elasticsearch.

Every field is typed: keywords match as a whole and are case-sensitive, text matches by token, numbers and
dates by value. An unmapped field matches nothing, as in an index with `dynamic: false`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any, Final, NoReturn

import tantivy
from tantivy import FieldType, Occur, Query

from tidegate.store.base import QueryError
from tidegate.store.fields import DEFAULT_FIELD, LONG_MAX, LONG_MIN, Kind, Leaf, whole_number
from tidegate.store.query import time_ranges, tree

# The names of an event's texts, which have no column.
NAMES_FIELD: Final = "_texts"
# Keywords that nearly each event has another value of. They are in a column alone, and a query for one looks
# it up in the dictionary of the column: an index of them took two fifths of the CPU of an event.
IDS: Final = frozenset({"trace.id", "transaction.id", "span.id", "parent.id"})
# Ids that a pattern may match: each takes 2 ms in a segment of 300,000 events.
MAX_IDS: Final = 100
# Terms that a range over texts may list, as does a range of numbers of a field that is not in the mapping.
# 300,000 took 5 s and 50 MB.
MAX_TERMS: Final = 500_000
_ESCAPED: Final = frozenset("\\.+*?()|[]{}^$#&-~")
Tokenize = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles trees for one index; `now` is what that means in a query."""

    schema: tantivy.Schema
    searcher: tantivy.Searcher
    catalogue: dict[str, Leaf]
    tokenize: Tokenize
    now: datetime

    def compile(self, node: tree.Node) -> Query:
        """Return the tree as a tantivy query.

        Raises:
            QueryError: A value is not valid for its field's type.
        """
        if isinstance(node, tree.Everything):
            return Query.all_query()
        if isinstance(node, tree.Exists):
            return self._exists(node.field)
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
        try:
            return compilers[type(node)](leaf, node)
        except QueryError as error:
            error.place = node.place
            raise

    def _exists(self, name: str) -> Query:
        """Match events with this field, or with any field below it."""
        found = [
            Query.term_query(self.schema, NAMES_FIELD, leaf.path, "basic")
            if leaf.kind is Kind.TEXT
            else Query.exists_query(leaf.path)
            for leaf in self.catalogue.values()
            if leaf.path == name or leaf.path.startswith(f"{name}.")
        ]
        return _any(found)

    def _group(self, group: tree.Group) -> Query:
        parts = [self.compile(node) for node in group.must]
        # Next to a required clause an optional one only raises the score, which is not used.
        shoulds = [self.compile(node) for node in group.should]
        if not parts:
            parts = [_any(shoulds) if shoulds else Query.all_query()]
        nots = [(Occur.MustNot, self.compile(node)) for node in group.must_not]
        return Query.boolean_query([*((Occur.Must, part) for part in parts), *nots])

    def _word(self, leaf: Leaf, word: tree.Word) -> Query:
        return self._value(leaf, word.text)

    def _value(self, leaf: Leaf, text: str) -> Query:
        match leaf.kind:
            case Kind.KEYWORD:
                term = Query.term_query(self.schema, leaf.path, text, "basic")
                return Query.const_score_query(term, 1.0)  # a column knows no score
            case Kind.TEXT:
                tokens = self.tokenize(text)
                terms = [Query.term_query(self.schema, leaf.path, token) for token in tokens]
                return _any(terms)
            case Kind.BOOLEAN:
                if text not in ("true", "false"):
                    self._invalid_value(leaf, text, "true or false")
                return Query.term_query(self.schema, leaf.path, text == "true")
            case Kind.LONG | Kind.DOUBLE | Kind.DATE:
                return self._range(leaf, tree.Range(leaf.path, text, text, True, True))

    def _phrase(self, leaf: Leaf, phrase: tree.Phrase) -> Query:
        tokens = self.tokenize(phrase.text) if leaf.kind is Kind.TEXT else []
        if len(tokens) > 1:
            return Query.phrase_query(self.schema, leaf.path, list(tokens), phrase.slop)
        return self._value(leaf, phrase.text)

    def _pattern(self, leaf: Leaf, pattern: tree.Pattern) -> Query:
        text = _wildcard(pattern.parts, lower=leaf.kind is Kind.TEXT)
        return self._regex(leaf, tree.Regex(pattern.field, text))

    def _regex(self, leaf: Leaf, regex: tree.Regex) -> Query:
        self._require_string(leaf, "a wildcard or regular expression")
        try:
            query = Query.regex_query(self.schema, leaf.path, regex.pattern)
        except ValueError as error:
            reason = str(error).strip().splitlines()[-1].removeprefix("error: ")
            raise QueryError(
                f"cannot parse the query: {leaf.path}:/{regex.pattern}/: {reason}"
            ) from error
        return self._ids(leaf, regex.pattern) if leaf.path in IDS else query

    def _ids(self, leaf: Leaf, pattern: str) -> Query:
        """Match the ids that match a regular expression.

        Raises:
            QueryError: More than `MAX_IDS` match.
        """
        terms = {"field": leaf.path, "include": pattern, "size": MAX_IDS + 1}
        found = self.searcher.aggregate(Query.all_query(), {"ids": {"terms": terms}})["ids"]
        if len(found["buckets"]) > MAX_IDS:
            raise QueryError(f"more than {MAX_IDS} different {leaf.path} match: write more of it")
        return _any([self._value(leaf, one["key"]) for one in found["buckets"]])

    def _fuzzy(self, leaf: Leaf, fuzzy: tree.Fuzzy) -> Query:
        self._require_string(leaf, "a fuzzy search")
        self._require_index(leaf, "a fuzzy search")
        word = fuzzy.text.lower() if leaf.kind is Kind.TEXT else fuzzy.text
        return Query.fuzzy_term_query(self.schema, leaf.path, word, fuzzy.edits)

    def _require_string(self, leaf: Leaf, feature: str) -> None:
        if leaf.kind not in (Kind.KEYWORD, Kind.TEXT):
            raise QueryError(
                f"{leaf.path} is a {leaf.kind} field: {feature} needs a keyword or text field"
            )

    def _require_index(self, leaf: Leaf, feature: str) -> None:
        if leaf.path in IDS:
            raise QueryError(f"{leaf.path} is an id: {feature} is not supported")

    def _range(self, leaf: Leaf, bounds: tree.Range) -> Query:
        match leaf.kind:
            case Kind.KEYWORD | Kind.TEXT:
                return self._string_range(leaf, bounds)
            case Kind.LONG:
                return self._long_range(leaf, bounds)
            case Kind.DOUBLE:
                return self._double_range(leaf, bounds)
            case Kind.DATE:
                return self._date_range(leaf, bounds)
            case Kind.BOOLEAN:
                raise QueryError(f"{leaf.path} is a boolean field: ranges are not supported")

    def _string_range(self, leaf: Leaf, bounds: tree.Range) -> Query:
        """Match every term between the bounds; tantivy has no range query for text."""
        low, high = bounds.low, bounds.high
        if low is None and high is None:
            return self._exists(leaf.path)
        self._require_index(leaf, "a range")
        same = takewhile(lambda pair: pair[0] == pair[1], zip(low or "", high or "", strict=False))
        common = "".join(char for char, _ in same)
        found = self.searcher.terms_with_prefix(leaf.path, common, limit=MAX_TERMS + 1)
        if len(found) > MAX_TERMS:
            raise QueryError(
                f"a range in the query would compare more than {MAX_TERMS:,} different values: use bounds"
                " that are nearer to each other"
            )
        terms = [
            term
            for term, _ in found
            if (low is None or term > low or (bounds.include_low and term == low))
            and (high is None or term < high or (bounds.include_high and term == high))
        ]
        return Query.term_set_query(self.schema, leaf.path, terms)

    def _long_range(self, leaf: Leaf, bounds: tree.Range) -> Query:
        low, high = LONG_MIN, LONG_MAX
        if bounds.low is not None:
            bound = self._number(leaf, bounds.low)
            low = math.ceil(bound) if bounds.include_low else math.floor(bound) + 1
        if bounds.high is not None:
            bound = self._number(leaf, bounds.high)
            high = math.floor(bound) if bounds.include_high else math.ceil(bound) - 1
        return self._integers(leaf, low, high)

    def _double_range(self, leaf: Leaf, bounds: tree.Range) -> Query:
        ends = bounds.low, bounds.high
        low, high = (None if one is None else self._float(leaf, one) for one in ends)
        if low is None and high is None:
            return self._exists(leaf.path)
        included = bounds.include_low or low is None, bounds.include_high or high is None
        return Query.range_query(self.schema, leaf.path, FieldType.Float, low, high, *included)

    def _date_range(self, leaf: Leaf, bounds: tree.Range) -> Query:
        low, high = LONG_MIN, LONG_MAX
        if bounds.low is not None:
            found = self._time_range(leaf, bounds.low)
            low = found.start if bounds.include_low else found.end
        if bounds.high is not None:
            found = self._time_range(leaf, bounds.high)
            high = (found.end if bounds.include_high else found.start) - 1
        return self._integers(leaf, low, high)

    def _integers(self, leaf: Leaf, low: int, high: int) -> Query:
        """Match low to high, both inclusive."""
        low, high = max(low, LONG_MIN), min(high, LONG_MAX)
        if low > high:
            return Query.empty_query()
        return Query.range_query(self.schema, leaf.path, FieldType.Integer, low, high)

    def _number(self, leaf: Leaf, text: str) -> int | float:
        number = whole_number(text)
        if number is None:
            self._invalid_value(leaf, text, "a number")
        return number

    def _float(self, leaf: Leaf, text: str) -> float:
        try:
            return float(self._number(leaf, text))
        except OverflowError:
            self._invalid_value(leaf, text, "a number in the range of a double")

    def _time_range(self, leaf: Leaf, text: str) -> time_ranges.TimeRange:
        found = time_ranges.time_range(text, self.now)
        if found is None:
            self._invalid_value(leaf, text, "a date: use ISO 8601, now or now-5m")
        return found

    def _invalid_value(self, leaf: Leaf, text: str, expected: str) -> NoReturn:
        raise QueryError(f"{leaf.path} is a {leaf.kind} field: {text!r} is not {expected}")


def _any(queries: list[Query]) -> Query:
    """Match at least one of these; nothing if there is none."""
    shoulds = [(Occur.Should, one) for one in queries]
    return Query.boolean_query(shoulds) if shoulds else Query.empty_query()


def _wildcard(parts: tuple[str | tree.Wild, ...], *, lower: bool) -> str:
    """Return a pattern as a regular expression; `(?s:…)` lets a wildcard match line ends."""
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
