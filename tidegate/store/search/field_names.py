"""The names of fields that can be searched, and the one that a wrong name most likely means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from tidegate.store.base import EventStore, QueryError, SearchRequest, StoreUnavailableError, Terms
from tidegate.store.fields import OWN_FIELDS, catalogue
from tidegate.store.own_fields import NAMES
from tidegate.store.query import parser, tree

MAX_NAMES: Final = 500
# Words of other tools for the words in our names.
_SYNONYMS: Final = {
    "code": "status_code",
    "elapsed": "duration",
    "host": "node",
    "instance": "node",
    "latency": "duration",
    "msg": "message",
    "pod": "node",
    "replica": "node",
    "severity": "level",
    "text": "message",
    "took": "duration",
    "uri": "path",
    "verb": "method",
}


def mapped_names() -> list[str]:
    """Return the names of the fields that every event may have."""
    return [name for name in catalogue() if not name.startswith(f"{OWN_FIELDS}.")]


def own_names(store: EventStore) -> list[str]:
    """Return the names of the fields that applications added, most frequent first; none without a store."""
    wanted = {"names": Terms(NAMES, size=MAX_NAMES)}
    with suppress(StoreUnavailableError, QueryError):
        found = store.search(SearchRequest(size=0, aggregations=wanted)).aggregations["names"]
        return [str(bucket.key) for bucket in found]
    return []


def unknown_names(store: EventStore, query: str) -> list[tuple[str, str]]:
    """Return the fields in a query that no event has, each with the one that it most likely means, or empty.

    Raises:
        QueryError: The query is invalid.
    """
    known = mapped_names()
    unknown = [
        name
        for name in sorted(tree.fields(parser.parse(query)))
        if not any(path == name or path.startswith(f"{name}.") for path in known)
    ]
    own = own_names(store) if unknown else []
    return [(name, suggest(name, [*known, *own])) for name in unknown if name not in own]


def suggest(name: str, known: Collection[str]) -> str:
    """Return the field that a wrong name most likely means; empty if none is similar.

    A field whose name contains all words of the wrong one is meant, with the fewest other words:
    `http.status` means `http.response.status_code`. Otherwise the spelling decides.
    """
    words = {_SYNONYMS.get(word, word) for word in _words(name)}
    meant = {word for each in words for word in _words(each)}
    containing = [one for one in known if meant <= set(_words(one))]
    if containing:
        return min(containing, key=lambda one: (len(_words(one)), one))
    similar = difflib.get_close_matches(name, known, n=1)
    return similar[0] if similar else ""


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[a-z0-9]+", spaced.lower())
