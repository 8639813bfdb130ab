"""What a search page's address says, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Self
from urllib.parse import urlencode

from tidegate.console.series import DEFAULT
from tidegate.store.base import SearchRequest, stream_of
from tidegate.store.query import time_ranges, tree
from tidegate.store.query.parser import parse

COLUMNS: Final = ("service.node.name", "message")
FACETS: Final = (
    *("log.level", "event.dataset", "event.outcome", "http.response.status_code"),
    *("service.node.name", "error.type"),
)
# Each is in every link of the page, and a facet has a dozen. A condition is searched for three times.
MOST: Final = {"columns": 20, "facets": 20}
MAX_CONDITIONS: Final = 200


@dataclass(frozen=True, slots=True)
class Address:
    """What the address of a page says: each field is a parameter, a tuple one with commas."""

    PATH: ClassVar[str]

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Self:
        """Return what the parameters of an address say; missing or empty ones have their default."""
        given: dict[str, Any] = {}
        for one in fields(cls):
            if value := parameters.get(one.name, "").strip():
                given[one.name] = _listed(value) if isinstance(one.default, tuple) else value
        return cls(**given)

    def url(self, path: str = "", **changes: Any) -> str:
        """Return the address with changes, or that of another path with the same parameters."""
        changed = replace(self, **changes)
        parts = {
            one.name: ",".join(value) if isinstance(value, tuple) else value
            for one in fields(self)
            if (value := getattr(changed, one.name)) != one.default
        }
        path = path or self.PATH
        return f"{path}?{urlencode(parts)}" if parts else path


@dataclass(frozen=True, slots=True)
class Wanted(Address):
    """A search as its address has it. Times are as a person wrote them."""

    PATH = "/search"
    q: str = ""
    since: str = DEFAULT
    until: str = ""
    columns: tuple[str, ...] = COLUMNS
    facets: tuple[str, ...] = FACETS
    after: str = ""
    live: str = ""

    def url(self, path: str = "", **changes: Any) -> str:
        """Return the address of this search with changes; another search begins at its first page."""
        return Address.url(self, path, **{"after": "", **changes})

    def with_condition(self, condition: str, sign: Literal["", "NOT "] = "") -> str:
        """Return the address of the search with one more condition."""
        q = self.q if _CHAIN.fullmatch(self.q) else f"({self.q})" if self.q else ""
        return self.url(q=f"{q} AND {sign}{condition}" if q else f"{sign}{condition}")

    def toggled(self, names: Literal["columns", "facets"], name: str) -> str:
        """Return the address with one more of these, or one less; with the usual ones if none is left."""
        shown: tuple[str, ...] = getattr(self, names)
        left = tuple(one for one in shown if one != name) or getattr(Wanted(), names)
        return self.url("", **{str(names): left if name in shown else (*shown, name)})

    def request(self, now: datetime, size: int) -> SearchRequest:
        """Return it as a request to the store; without an end it ends now.

        Raises:
            ValueError: A time or the query is invalid, or something is more than the console shows.
        """
        counts = {one: (len(getattr(self, one)), most) for one, most in MOST.items()}
        counts["words and conditions"] = (tree.size(parse(self.q)), MAX_CONDITIONS)
        for name, (count, most) in counts.items():
            if count > most:
                raise ValueError(
                    f"it has {count} {name}; at most {most} are possible in the console"
                )
        return SearchRequest(
            query=self.q,
            since=time_ranges.when(self.since, now),
            until=time_ranges.when(self.until, now) if self.until else now,
            size=size,
            stream=stream_of(self.q),
        )


# Conditions that AND joins: another one can follow without parentheses. Each query has one reading, as no
# bare word has a colon: with several readings of each term, the time would double with each term.
_TERM: Final = r'(?:NOT )?(?:[^\s"():]+:)?(?:"(?:[^"\\]|\\.)*"|[^\s"():]+|\([^()]*\))'
_CHAIN: Final = re.compile(f"{_TERM}(?: AND {_TERM})*")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
