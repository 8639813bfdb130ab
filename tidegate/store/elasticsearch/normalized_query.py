"""Renders a query's tree as an unambiguous Lucene query string for Elasticsearch.

Every value has its field, and every required or excluded clause its `+` or `-`. Elasticsearch would read
the original differently: it takes the words of `log.level:(error warn)` as one keyword with a space.
"""

from __future__ import annotations

from tidegate.store.fields import DEFAULT_FIELD
from tidegate.store.query import tree
from tidegate.store.query.literals import escaped, quoted


def render(node: tree.Node) -> str:
    """Return the tree as a normalized query string."""
    if isinstance(node, tree.Everything):
        return "*:*"
    if isinstance(node, tree.Group):
        return _group(node)
    name = escaped(node.field or DEFAULT_FIELD)
    if isinstance(node, tree.Exists):
        return f"_exists_:{name}"
    return f"{name}:{_value(node)}"


def _group(group: tree.Group) -> str:
    parts = [f"+{render(node)}" for node in group.must]
    parts += [render(node) for node in group.should]
    if not parts:
        parts = ["*:*"]
    parts += [f"-{render(node)}" for node in group.must_not]
    return f"({' '.join(parts)})"


def _value(
    node: tree.Word | tree.Pattern | tree.Fuzzy | tree.Phrase | tree.Regex | tree.Range,
) -> str:
    match node:
        case tree.Word(text=text):
            value = escaped(text)
        case tree.Pattern(parts=parts):
            value = "".join(
                part.value if isinstance(part, tree.Wild) else escaped(part) for part in parts
            )
        case tree.Fuzzy(text=text, edits=edits):
            value = f"{escaped(text)}~{edits}"
        case tree.Phrase(text=text, slop=slop):
            value = quoted(text) + (f"~{slop}" if slop else "")
        case tree.Regex(pattern=pattern):
            value = "/" + pattern.replace("/", "\\/") + "/"
        case tree.Range():
            low, high = ("*" if bound is None else quoted(bound) for bound in (node.low, node.high))
            opening = "[" if node.include_low else "{"
            closing = "]" if node.include_high else "}"
            value = f"{opening}{low} TO {high}{closing}"
    return value
