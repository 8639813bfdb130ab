"""What went wrong with a request: a status, where, and why, for the person who reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson

Loc: TypeAlias = tuple[str | int, ...]

SHOWN_CHARACTERS: Final = 80
"""A longer text from a client is cut where an error message repeats it."""
LISTED_NAMES: Final = 20
"""Most names of features or categories in an error message; one answer may have twenty such messages."""


def shown(value: object) -> str:
    """A value from a client's JSON, for an error message: never long, and never what is inside it."""
    if isinstance(value, str):
        return repr(value[:SHOWN_CHARACTERS])
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    return orjson.dumps(value).decode()


def listed(names: Sequence[str]) -> str:
    """Names of the model's, for an error message: the first, and how many more, as it may have thousands."""
    more = len(names) - LISTED_NAMES
    return ", ".join(names[:LISTED_NAMES]) + (f" and {more} more (see /docs)" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class Detail:
    """One fault: where it stands in the request, what to do about it, and its machine-readable type."""

    loc: Loc
    msg: str
    type: str

    def as_json(self) -> dict[str, Any]:
        """The fault in the form that FastAPI gives its own."""
        return {"loc": list(self.loc), "msg": self.msg, "type": self.type}

    def __str__(self) -> str:
        return f"{'.'.join(str(part) for part in self.loc)}: {self.msg}"


class RequestError(Exception):
    """A request that is answered with an error.

    Args:
        status: the HTTP status code.
        details: the faults; the first one names the error's type in the event.
        headers: further headers of the answer.
    """

    def __init__(
        self, status: int, *details: Detail, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__("; ".join(str(detail) for detail in details))
        self.status = status
        self.details = details
        self.headers = dict(headers or {})

    @property
    def type(self) -> str:
        """The type of the first fault."""
        return self.details[0].type
