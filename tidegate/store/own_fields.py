"""Makes fields searchable that are not in the mapping: of `annotate`, of log lines and of other programs.

A mapping for each name would let a program fill the index, and the first event would decide the type of all
others, also with `dynamic: runtime`; `flattened` would compare numbers as texts. Instead two keyword fields
have the names and the values of them all:

    tidegate.own_fields.names     tidegate.city, tidegate.price
    tidegate.own_fields.values    tidegate.city=sKyiv, tidegate.price=nc014000000000000

The letter is the type, so a text and a number in one field do not disturb each other. A number is written so
that the order of texts is the order of numbers. A query about such a field becomes one about these keywords.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from tidegate.events.event import Event
from tidegate.store.fields import OWN_FIELDS, SCALARS, catalogue, others, whole_number
from tidegate.store.query import tree

NAMES: Final = f"{OWN_FIELDS}.names"
VALUES: Final = f"{OWN_FIELDS}.values"
MAX_FIELDS: Final = 64
MAX_VALUES: Final = 256
MAX_NAME: Final = 200
MAX_ENTRY: Final = 1024
# In bytes, of all entries and names of an event together, so that it is at most a quarter larger than its
# line may be.
MAX_SIZE: Final = 16_384
MAX_DEPTH: Final = 8

LeftOut: TypeAlias = Callable[[Event, int], None]
"""Gets an event that is stored, and the number of its values that cannot be searched, if there are any."""


@dataclass(slots=True)
class OwnFields:
    """The fields of an event that are not in the mapping.

    Attributes:
        names: Their dotted names, with those of the objects around them, and their sizes in bytes.
        values: Each as it is searched, with its name and its typed value: a name may contain `=`.
        left_out: Number of values beyond the bounds, which cannot be searched. Once the number or the size
            of all is reached, repeated ones count, too.
    """

    names: dict[str, int] = field(default_factory=dict)
    values: dict[str, tuple[str, str]] = field(default_factory=dict)
    left_out: int = 0
    _size: int = 0
    _full: bool = False
    _fields: set[str] = field(default_factory=set)

    def add(self, name: str, item: object, depth: int = 0) -> None:
        """Add a field and, for an object or a list, what is in it."""
        is_scalar = type(item) in SCALARS  # most are, and the test for a mapping takes far longer
        if not is_scalar and isinstance(item, Mapping):
            if depth < MAX_DEPTH:
                for key, value in item.items():
                    self.add(f"{name}.{key}", value, depth + 1)
            else:
                self.left_out += 1
        elif not is_scalar and isinstance(item, list | tuple):
            for value in item:
                self.add(name, value, depth)
        elif self._full:
            self.left_out += item is not None
        elif (text := _encoded(item)) is not None:
            self._add_value(name, text)

    def _add_value(self, name: str, typed: str) -> None:
        entry = f"{name}={typed}"
        if entry in self.values:
            return
        new = name not in self._fields
        if len(name) > MAX_NAME or (new and len(self._fields) >= MAX_FIELDS):
            self.left_out += 1
            return
        names = {one: size for one, size in _path(name) if one not in self.names} if new else {}
        # As for other keywords: the field of a long value exists, and its value is not searchable.
        searchable = len(entry) <= MAX_ENTRY
        size = sum(names.values()) + (_bytes(entry) if searchable else 0)
        if len(self.values) >= MAX_VALUES or self._size + size > MAX_SIZE:
            self.left_out += 1
            self._full = True
            return
        self._fields.add(name)
        self.names.update(names)
        self._size += size
        if searchable:
            self.values[entry] = (name, typed)


def ignore(event: Event, left_out: int) -> None:
    """A `LeftOut` that does nothing."""


def own_fields(event: Event, report: LeftOut = ignore) -> OwnFields:
    """Return the fields of an event that are not in the mapping."""
    found = OwnFields()
    others(event, found.add)
    if found.left_out:
        report(event, found.left_out)
    return found


def with_own_fields(event: Event, report: LeftOut = ignore) -> Event:
    """Return the event with what makes its own fields searchable."""
    found, own = own_fields(event, report), event.get("tidegate", {})
    if not found.names or not isinstance(own, dict):
        return event
    added = {"names": list(found.names), "values": list(found.values)}
    return {**event, "tidegate": {**own, "own_fields": added}}


def without_own_fields(event: Event) -> Event:
    """Return a stored event as it was written."""
    own = event.get("tidegate")
    if isinstance(own, dict) and own.pop("own_fields", None) and not own:
        del event["tidegate"]
    return event


@lru_cache(1024)
def _path(name: str) -> tuple[tuple[str, int], ...]:
    """Return the names of the objects around a field and its own, with their sizes in bytes."""
    ends = [at for at, char in enumerate(name) if char == "."]
    return tuple((name[:end], _bytes(name[:end])) for end in (*ends, len(name)))


def _bytes(text: str) -> int:
    # A lone surrogate is an event's, too.
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _encoded(item: object) -> str | None:
    if isinstance(item, str):
        return f"s{item}"
    if isinstance(item, bool):
        return f"b{str(item).lower()}"
    if isinstance(item, int | float):
        return _sortable(item)
    return None


def _sortable(number: float) -> str | None:
    """Encode a number so that the order of texts is the order of numbers (the bits of a double, IEEE 754)."""
    try:
        double = float(number) + 0.0  # -0.0 is 0.0
    except OverflowError:
        return None
    if math.isnan(double):
        return None
    bits = int.from_bytes(struct.pack(">d", double))
    return f"n{bits ^ (1 << 63) if bits < 1 << 63 else bits ^ ((1 << 64) - 1):016x}"


def decoded(typed: str) -> str:
    """Return an encoded value as it is written in a query."""
    if typed[0] != "n":
        return typed[1:]
    bits = int(typed[1:], 16)
    bits = bits ^ (1 << 63) if bits >> 63 else bits ^ ((1 << 64) - 1)
    (number,) = struct.unpack(">d", struct.pack(">Q", bits))
    return f"{number:.15g}"


def values_of(name: str) -> str:
    """Return a regular expression for the entries of a field in `VALUES`."""
    return f"{_escape(name)}=.*"


def rewrite(node: tree.Node) -> tree.Node:
    """Return a query in which conditions on fields that are not in the mapping use the two keyword fields."""
    if isinstance(node, tree.Group):
        return tree.Group(
            tuple(map(rewrite, node.must)),
            tuple(map(rewrite, node.should)),
            tuple(map(rewrite, node.must_not)),
        )
    if isinstance(node, tree.Everything) or node.field is None or node.field in catalogue():
        return node
    name = node.field
    if isinstance(node, tree.Range) and node.low is None and node.high is None:
        node = tree.Exists(name)
    if isinstance(node, tree.Exists):
        return _any(node, tree.Word(NAMES, name)) if _is_object(name) else tree.Word(NAMES, name)
    return _condition(name, node)


def _condition(
    name: str,
    node: tree.Word | tree.Pattern | tree.Fuzzy | tree.Phrase | tree.Regex | tree.Range,
) -> tree.Node:
    text = f"{name}=s"
    match node:
        case tree.Word(text=value) | tree.Phrase(text=value):
            return _any(*(tree.Word(VALUES, entry) for entry in _entries(name, value)))
        case tree.Pattern(parts=parts):
            return tree.Pattern(VALUES, (text, *parts))
        case tree.Regex(pattern=pattern):
            return tree.Regex(VALUES, f"{_escape(text)}({pattern})")
        case tree.Fuzzy(text=value, edits=edits):
            within = tree.Pattern(VALUES, (text, tree.Wild.ANY))
            return tree.Group((tree.Fuzzy(VALUES, text + value, edits), within), (), ())
        case tree.Range():
            return _range(name, node)


def _entries(name: str, value: str) -> Iterator[str]:
    yield f"{name}=s{value}"
    if (number := _number(value)) is not None:
        yield f"{name}={number}"
    if value in ("true", "false"):
        yield f"{name}=b{value}"


def _range(name: str, node: tree.Range) -> tree.Range:
    given = [bound for bound in (node.low, node.high) if bound is not None]
    numeric = all(_number(bound) is not None for bound in given)
    kind = "n" if numeric else "s"
    low, high = (
        None if bound is None else _number(bound) if numeric else f"s{bound}"
        for bound in (node.low, node.high)
    )
    return tree.Range(
        VALUES,
        f"{name}={kind}" if low is None else f"{name}={low}",
        # The next letter is behind every value of this type.
        f"{name}={chr(ord(kind) + 1)}" if high is None else f"{name}={high}",
        include_low=node.include_low or low is None,
        include_high=node.include_high and high is not None,
    )


def _number(text: str) -> str | None:
    number = whole_number(text)
    return None if number is None else _sortable(number)


def _any(*nodes: tree.Node) -> tree.Node:
    return nodes[0] if len(nodes) == 1 else tree.Group((), nodes, ())


def _is_object(name: str) -> bool:
    return any(path.startswith(f"{name}.") for path in catalogue())


def _escape(text: str) -> str:
    return re.sub(r"([.+*?()|\[\]{}^$#&~\\-])", r"\\\1", text)
