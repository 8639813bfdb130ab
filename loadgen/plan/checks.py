"""Checks on responses: `status==201`, `body contains late`, `json.items.0.label==late`, `json.total<10`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tidegate.loadgen.errors import UsageError

OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_PATTERN: Final = re.compile(
    r"\s*(?:(?P<of>status|json(?:\.[^\s<>=!]+)?)\s*(?P<operator><=|>=|==|!=|<|>)\s*(?P<value>.+?)"
    r"|body contains (?P<part>.+))\s*"
)


@dataclass(frozen=True, slots=True)
class Check:
    """A parsed check: of the status, of the text `part` of the body, or of a value in its JSON."""

    text: str
    of: str
    operator: str
    value: Any
    part: bytes = b""

    @property
    def needs_body(self) -> bool:
        """Whether the response's body has to be kept."""
        return self.of != "status"

    def passes(self, status: int, body: bytes) -> bool:
        """Whether a response passes; one that is not JSON, or lacks the value, fails a check of JSON."""
        if self.part:
            return self.part in body
        try:
            found = status if self.of == "status" else _at(orjson.loads(body), self.of)
            return OPERATORS[self.operator](found, self.value)
        except (ValueError, LookupError, TypeError):
            return False


def parse_check(text: str) -> Check:
    """Parse a check.

    Raises:
        UsageError: it is invalid; the message says what is expected.
    """
    match = _PATTERN.fullmatch(text)
    if match is None or (match["of"] == "status" and not match["value"].isdigit()):
        raise UsageError(
            f"--check {text!r}: expected 'status==201', 'body contains TEXT' or 'json.items.0.label==late'"
        )
    if match["part"]:
        return Check(text.strip(), "body", "", None, match["part"].encode())
    try:
        value = orjson.loads(match["value"])
    except ValueError:
        value = match["value"]  # a text needs no quotation marks
    return Check(text.strip(), match["of"], match["operator"], value)


def _at(value: Any, path: str) -> Any:
    for name in path.split(".")[1:]:
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value
