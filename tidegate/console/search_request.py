"""What a search page's address says, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final, Literal, Self
from urllib.parse import urlencode

from tidegate.console import series
from tidegate.store.base import SearchRequest
from tidegate.store.query import time_ranges

PATH: Final = "/search"
RANGES: Final = tuple(one.name for one in series.RANGES)
SINCE: Final = series.DEFAULT.name
COLUMNS: Final = ("service.node.name", "message")
FACETS: Final = (
    *("log.level", "event.dataset", "event.outcome", "http.response.status_code"),
    *("service.node.name", "error.type"),
)
SIZE: Final = 100


@dataclass(frozen=True, slots=True)
class Address:
    """What the address of a page says: each field is a parameter, a tuple one with commas."""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Self:
        """Return what the parameters of an address say; missing or empty ones have their default."""
        given: dict[str, Any] = {}
        for one in fields(cls):
            if value := parameters.get(one.name, "").strip():
                given[one.name] = _listed(value) if isinstance(one.default, tuple) else value
        return cls(**given)

    def at(self, path: str, **changes: Any) -> str:
        """Return the address with changes."""
        changed = replace(self, **changes)
        parts = {
            one.name: ",".join(value) if isinstance(value, tuple) else value
            for one in fields(self)
            if (value := getattr(changed, one.name)) != one.default
        }
        return f"{path}?{urlencode(parts)}" if parts else path


@dataclass(frozen=True, slots=True)
class Wanted(Address):
    """A search as its address has it. Times are as a person wrote them."""

    q: str = ""
    since: str = SINCE
    until: str = ""
    columns: tuple[str, ...] = COLUMNS
    facets: tuple[str, ...] = FACETS
    after: str = ""
    live: str = ""

    def url(self, path: str = PATH, **changes: Any) -> str:
        """Return the address of this search with changes; another search begins at its first page."""
        return self.at(path, **{"after": "", **changes})

    def with_condition(self, condition: str, sign: Literal["", "NOT "] = "") -> str:
        """Return the address of the search with one more condition."""
        q = self.q if _CHAIN.fullmatch(self.q) else f"({self.q})" if self.q else ""
        return self.url(q=f"{q} AND {sign}{condition}" if q else f"{sign}{condition}")

    def with_column(self, name: str) -> str:
        """Return the address of the search with one more column, or one less if it is there."""
        if name in self.columns:
            return self.url(columns=tuple(one for one in self.columns if one != name) or COLUMNS)
        return self.url(columns=(*self.columns, name))

    def request(self, now: datetime, size: int) -> SearchRequest:
        """Return it as a request to the store; without an end it ends now.

        Raises:
            ValueError: A time is invalid.
        """
        return SearchRequest(
            query=self.q,
            since=time_ranges.when(self.since, now),
            until=time_ranges.when(self.until, now) if self.until else now,
            size=size,
        )


# Conditions that AND joins: another one can follow without parentheses. Each query has one reading, as no
# bare word has a colon: with several readings of each term, the time would double with each term.
_TERM: Final = r'(?:NOT )?(?:[^\s"():]+:)?(?:"(?:[^"\\]|\\.)*"|[^\s"():]+|\([^()]*\))'
_CHAIN: Final = re.compile(f"{_TERM}(?: AND {_TERM})*")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
