"""Writes texts so that a query means exactly them."""

from __future__ import annotations

import re
from typing import Final

_SPECIAL: Final = frozenset(' \t\n\r\u3000+-=&|!(){}[]^"~*?:\\/')
_OPERATORS: Final = frozenset({"AND", "OR", "NOT"})
_BARE: Final = re.compile(r"[A-Za-z0-9_.]+")


def escaped(text: str) -> str:
    """Return a text as a part of a word or as the name of a field."""
    if text in _OPERATORS:
        return f"\\{text}"
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in text)


def quoted(text: str) -> str:
    """Return a text as a phrase."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'


def condition(name: str, value: str) -> str:
    """Return the condition that a field has a value."""
    bare = _BARE.fullmatch(value) and value not in _OPERATORS
    return f"{escaped(name)}:{value if bare else quoted(value)}"
