"""Errors of requests: status, location and message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson

Loc: TypeAlias = tuple[str | int, ...]

MAX_VALUE_CHARACTERS: Final = 80
"""Longer strings from a client are truncated in error messages."""
MAX_NAMES: Final = 20
"""Largest number of names in an error message; a response may have twenty such messages."""

PROTOCOL: Final = "protocol"
FOREIGN_NAMES: Final = frozenset({"extra_forbidden", PROTOCOL})
"""Types of faults whose location ends with a name out of the request; so does that of a v2 tensor."""
NOT_FINITE: Final = "finite_number"
"""Of NaN in a body whose fields are not known yet: each name of the location may be the client's."""


def format_value(value: object) -> str:
    """A JSON value for an error message: truncated, and without the content of lists and objects."""
    if isinstance(value, str):
        return repr(value[:MAX_VALUE_CHARACTERS])
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    return orjson.dumps(value).decode()


def format_names(names: Sequence[str]) -> str:
    """Names for an error message: the first ones and the number of others, as a model may have thousands."""
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more (see /docs)" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class Detail:
    """One fault: its location in the request, a message, and a machine-readable type."""

    loc: Loc
    msg: str
    type: str

    def as_json(self) -> dict[str, Any]:
        """The fault in the format of FastAPI's validation errors."""
        return {"loc": list(self.loc), "msg": self.msg, "type": self.type}

    @property
    def recorded(self) -> str:
        """The location and the type, without names that the client has chosen."""
        named = self.type in FOREIGN_NAMES or self.loc[0] == "inputs"
        loc = self.loc[:-1] if named and len(self.loc) > 1 else self.loc
        if self.type == NOT_FINITE:
            loc = loc[:1]
        return f"{'.'.join(str(part) for part in loc)}: {self.type}"

    def __str__(self) -> str:
        return f"{'.'.join(str(part) for part in self.loc)}: {self.msg}"


class RequestError(Exception):
    """An error response to a request; the type of the first of its faults is the error type of the event.

    As a string it is what may be recorded, since whatever handles an exception may record its string: a span
    in which it is raised, a log line, a traceback.
    """

    def __init__(
        self, status: int, *details: Detail, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, *details)
        self.status = status
        self.details = details
        self.headers = dict(headers or {})

    @property
    def type(self) -> str:
        """The type of the first fault."""
        return self.details[0].type

    @property
    def message(self) -> str:
        """What the response says."""
        return "; ".join(str(detail) for detail in self.details)

    def __str__(self) -> str:
        """What the request's event says: of a client's fault where and what it is, nothing that was sent."""
        if self.status >= 500:
            return self.message
        return "; ".join(dict.fromkeys(detail.recorded for detail in self.details))


def full_message(error: Exception) -> str:
    """What an error says to an operator whose own rows caused it, as the samples of a model do."""
    return error.message if isinstance(error, RequestError) else str(error)


def protocol_error(where: str, message: str) -> RequestError:
    """The error of a request that does not follow the Open Inference Protocol."""
    return RequestError(400, Detail(("inputs", where) if where else ("body",), message, PROTOCOL))
