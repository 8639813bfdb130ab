"""Completes what a person types as a query: the names of fields, and their values."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from tidegate.events.event import Event
from tidegate.store.base import EventStore, QueryError, SearchRequest, StoreUnavailableError
from tidegate.store.fields import Kind, RefusedError, catalogue, project
from tidegate.store.own_fields import decoded, own_fields
from tidegate.store.query.literals import condition, escaped
from tidegate.store.search.field_names import mapped_names, own_names

# The newest events with the field whose values are offered.
SAMPLE: Final = 300
MAX_VALUES: Final = 20
# Only the end of a long query is read, as the time of the expressions below grows with its square.
_READ: Final = 500
# The field, if there is one, and the beginning of a value or of a name; `"` begins a value with spaces.
_BARE: Final = re.compile(
    r'(?P<before>.*?)(?:(?P<field>[^\s(:"+!-][^\s(:"]*):)?(?P<last>[^\s(:"]*)', re.DOTALL
)
_QUOTED: Final = re.compile(
    r'(?P<before>.*?)(?P<field>[^\s(:"+!-][^\s(:"]*):"(?P<last>[^"]*)', re.DOTALL
)
_NO_VALUES: Final = (Kind.TEXT, Kind.DATE)


def completions(
    store: EventStore, query: str, since: datetime | None = None, until: datetime | None = None
) -> list[str]:
    """Return queries that complete one: by the name of a field, or by one of its values after a colon.

    The query ends where it is being typed. The bounds are those of the events whose values are offered.
    """
    in_quotes = query.replace('\\"', "").count('"') % 2
    found = (_QUOTED if in_quotes else _BARE).fullmatch(query[-_READ:])
    if found is None:
        return []
    before, name, last = query[:-_READ] + found["before"], found["field"], found["last"]
    if name:
        newest = SearchRequest(since=since, until=until, size=SAMPLE)
        return [before + condition(name, value) for value in _values(store, newest, name, last)]
    prefix = last.lstrip("+!-")
    before += last[: len(last) - len(prefix)]
    names = dict.fromkeys([*mapped_names(), *own_names(store)])
    return [f"{before}{escaped(one)}:" for one in names if one.startswith(prefix)]


def _values(store: EventStore, newest: SearchRequest, name: str, typed: str) -> list[str]:
    """Return the most frequent values of the newest events that begin with what is typed."""
    leaf = catalogue().get(name)
    if leaf is not None and leaf.kind in _NO_VALUES:
        return []
    queries = [f"_exists_:{escaped(name)}"]
    if typed and (leaf is None or leaf.kind is Kind.KEYWORD):
        # The condition finds rare texts; it finds no number of a field that is not in the mapping.
        queries.insert(0, f"{escaped(name)}:{escaped(typed)}*")
    with suppress(StoreUnavailableError):
        for query in queries:
            try:
                hits = store.search(replace(newest, query=query)).hits
            except QueryError:  # too many ids begin so, but those of the newest events are known
                continue
            counts = Counter(value for event in hits for value in _texts(event, name))
            if found := [one for one, _ in counts.most_common() if one.startswith(typed)]:
                return found[:MAX_VALUES]
    return []


def _texts(event: Event, name: str) -> set[str]:
    """Return the values of a field as they are written in a query."""
    if name in catalogue():
        with suppress(RefusedError):
            found = project(event).get(name, [])
            values = found if isinstance(found, list) else [found]
            return {str(one).lower() if isinstance(one, bool) else str(one) for one in values}
    return {decoded(typed) for own, typed in own_fields(event).values.values() if own == name}
