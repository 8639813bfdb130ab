"""Text of others as a person may see it: it gives a terminal no orders."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape control characters: a client can write terminal escape sequences into names and messages."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
