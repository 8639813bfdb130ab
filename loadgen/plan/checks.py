"""Checks on responses: `status==201`, `body contains late`, `json.items.0.label==late`, `json.total<10`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
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
    r"\s*(?P<of>status|body|json(?:\.[^\s<>=!]+)?)\s*(?P<operator><=|>=|==|!=|<|>|\bcontains\b)\s*(?P<value>.+?)\s*"
)


@dataclass(frozen=True, slots=True)
class Check:
    """A parsed check: a comparison of the status, of the body as text, or of a value in its JSON."""

    text: str
    of: str
    compare: Callable[[Any, Any], bool]
    value: Any

    @property
    def needs_body(self) -> bool:
        """Whether the response's body has to be kept."""
        return self.of != "status"

    def passes(self, status: int, body: bytes) -> bool:
        """Whether a response passes; one that is not JSON, or lacks the value, fails a check of JSON."""
        found: Any = status if self.of == "status" else body.decode(errors="replace")
        try:
            found = _at(orjson.loads(body), self.of) if self.of.startswith("json") else found
            return self.compare(found, self.value)
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
    value: Any = match["value"]
    with suppress(ValueError):  # a text needs no quotation marks
        value = value if match["of"] == "body" else orjson.loads(value)
    compare = {**OPERATORS, "contains": operator.contains}[match["operator"]]
    return Check(text.strip(), match["of"], compare, value)


def _at(value: Any, path: str) -> Any:
    for name in path.split(".")[1:]:
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value
