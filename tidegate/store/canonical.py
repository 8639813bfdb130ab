"""Writes a query's tree as a Lucene query string that can be read in one way only.

Every value carries its field and every clause its `+` or `-`. So Elasticsearch reads the same as we did:
left to itself it takes the words in `log.level:(error warn)` for one keyword with a space in it.
"""

from __future__ import annotations

from typing import Final

from tidegate.store import lucene
from tidegate.store.compiler import DEFAULT_FIELD

_SPECIAL: Final = frozenset(' \t\n\r\u3000+-=&|!(){}[]^"~*?:\\/')
_OPERATORS: Final = frozenset({"AND", "OR", "NOT"})


def render(node: lucene.Node) -> str:
    """The tree as a query string."""
    if isinstance(node, lucene.Everything):
        return "*:*"
    if isinstance(node, lucene.Group):
        return _group(node)
    name = _escape(node.field or DEFAULT_FIELD)
    if isinstance(node, lucene.Exists):
        return f"_exists_:{name}"
    return f"{name}:{_value(node)}"


def _group(group: lucene.Group) -> str:
    parts = [f"+{render(node)}" for node in group.must]
    parts += [render(node) for node in group.should]
    if not parts:
        parts = ["*:*"]
    parts += [f"-{render(node)}" for node in group.must_not]
    return f"({' '.join(parts)})"


def _value(
    node: lucene.Word | lucene.Pattern | lucene.Fuzzy | lucene.Phrase | lucene.Regex | lucene.Range,
) -> str:
    match node:
        case lucene.Word(text=text):
            return f"\\{text}" if text in _OPERATORS else _escape(text)
        case lucene.Pattern(parts=parts):
            return "".join(
                part.value if isinstance(part, lucene.Wild) else _escape(part) for part in parts
            )
        case lucene.Fuzzy(text=text, edits=edits):
            value = f"{_escape(text)}~{edits}"
        case lucene.Phrase(text=text, slop=slop):
            value = _quote(text) + (f"~{slop}" if slop else "")
        case lucene.Regex(pattern=pattern):
            value = "/" + pattern.replace("/", "\\/") + "/"
        case lucene.Range():
            low, high = ("*" if bound is None else _quote(bound) for bound in (node.low, node.high))
            opening = "[" if node.include_low else "{"
            closing = "]" if node.include_high else "}"
            value = f"{opening}{low} TO {high}{closing}"
    return value


def _escape(text: str) -> str:
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in text)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
