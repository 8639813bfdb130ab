"""The searchable fields with their types, and the conversion of an event's values to these types.

The fields come from Elasticsearch's mapping, observability/elasticsearch/component-tidegate-mappings.json, so
both stores have the same ones. Invalid values follow the rules of Elasticsearch (`ignore_malformed`,
`coerce`, `ignore_above`): a value of a wrong type is stored in the event but cannot be searched, and an
event whose structure conflicts with the mapping (text instead of an object) is rejected.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from tidegate.events.event import Event
from tidegate.observability_files.paths import observability_folder
from tidegate.store.query import time_ranges

Value = str | int | float | bool
Values: TypeAlias = dict[str, Value | list[Value]]
"""The searchable values of an event by field: one, or a list of several; dates in microseconds since 1970."""
Other: TypeAlias = Callable[[str, object], None]
"""Gets the dotted name and the value of a field that is not in the mapping."""
TIMESTAMP: Final = "@timestamp"
DEFAULT_FIELD: Final = "message"
"""The field of a part of a query that names none."""
OWN_FIELDS: Final = "tidegate.own_fields"
MISFITS: Final = "tidegate.misfits"
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
NAME_BYTES = 512  # Elasticsearch's limit for a document id
# Names that are Elasticsearch's own in a document's root.
_METADATA: Final = re.compile(
    "_(data_stream_timestamp|doc_count|field_names|id|ignored|ignored_source|index|index_mode|nested_path"
    "|routing|seq_no|source|tier|version)"
)
_LISTS: Final = (list, tuple)
SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DATASET = re.compile(r"tidegate\.[a-z0-9_.]{1,90}")
_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9_.]{0,99}")


class RefusedError(ValueError):
    """No store accepts the event. The message says why."""


class Kind(StrEnum):
    """The type of a field, as named in the mapping."""

    KEYWORD = "keyword"
    TEXT = "text"
    LONG = "long"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A searchable field."""

    path: str
    kind: Kind
    ignore_above: int
    """Longer keywords are not indexed; in characters."""
    convert: Callable[[object], Value | None]
    """Converts a JSON value to this type; None if it is not convertible."""
    is_text: bool
    """Whether a text needs no conversion."""


@dataclass(frozen=True, slots=True)
class Branch:
    """An object of the mapping. Fields that are not among its children cannot be searched."""

    path: str
    children: Mapping[str, Leaf | Branch]
    opaque: bool = False


class DocumentAddress(NamedTuple):
    """The document id and the data stream of an event."""

    id: str
    stream: str


def template(name: str) -> dict[str, Any]:
    """Return a template in observability/elasticsearch/ by its file name without `.json`."""
    path = observability_folder() / "elasticsearch" / f"{name}.json"
    return dict(json.loads(path.read_text("utf-8")))


@cache
def mapping() -> Branch:
    """Return the root of the mapping."""
    return _branch("", template("component-tidegate-mappings")["template"]["mappings"])


@cache
def catalogue() -> dict[str, Leaf]:
    """Return the searchable fields by their dotted names."""
    return {leaf.path: leaf for leaf in _leaves(mapping())}


def time_of(event: Event) -> int | None:
    """Return `@timestamp` in microseconds since 1970, as the store reads it; None if it is no time."""
    at = catalogue()[TIMESTAMP].convert(event.get(TIMESTAMP))
    return None if at is None else int(at)


@cache
def digest() -> str:
    """Return a fingerprint of the catalogue: an index with another one must be rebuilt.

    Its first line changes when the embedded store indexes the same fields in another way.
    """
    lines = sorted(f"{leaf.path} {leaf.kind} {leaf.ignore_above}" for leaf in catalogue().values())
    lines.insert(0, "4")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def document_address(event: Event) -> DocumentAddress:
    """Return the document id and the data stream of an event.

    Raises:
        RefusedError: `event.id` or `data_stream` is missing or invalid.
    """
    about, stream = event.get("event"), event.get("data_stream")
    if not isinstance(about, dict):
        raise RefusedError("event must be an object with an id")
    identity = about.get("id")
    if not isinstance(identity, str) or not 0 < _utf8_bytes(identity) <= NAME_BYTES:
        raise RefusedError(f"event.id must be text of 1 to {NAME_BYTES} bytes")
    if not isinstance(stream, dict):
        raise RefusedError("data_stream must be an object with type, dataset and namespace")
    try:
        name = _stream_name(stream.get("type"), stream.get("dataset"), stream.get("namespace"))
    except TypeError as error:  # a list or an object
        raise RefusedError("data_stream.type, dataset and namespace must be text") from error
    return DocumentAddress(identity, name)


@lru_cache(1024)
def _stream_name(kind: object, dataset: object, space: object) -> str:
    if kind not in ("logs", "traces"):
        raise RefusedError(f"data_stream.type must be logs or traces, not {kind!r}")
    if not isinstance(dataset, str) or not _DATASET.fullmatch(dataset):
        raise RefusedError(f"data_stream.dataset must look like tidegate.request, not {dataset!r}")
    if not isinstance(space, str) or not _NAMESPACE.fullmatch(space):
        raise RefusedError(f"data_stream.namespace must be lower-case letters, not {space!r}")
    return f"{kind}-{dataset}-{space}"


def _utf8_bytes(text: str) -> int:
    """Return the length in UTF-8; 0 if the text cannot be encoded."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0


def project(event: Event, other: Other = lambda name, value: None) -> Values:
    """Return the searchable values of an event; `other` gets the fields that are not in the mapping.

    Raises:
        RefusedError: Its structure conflicts with the mapping, or `@timestamp` is missing or invalid.
    """
    found: Values = {}
    _collect(mapping(), event, found, other)
    if type(found.get(TIMESTAMP)) is not int:
        raise RefusedError("@timestamp must be a single time in ISO 8601")
    return found


def others(event: Event, other: Other) -> None:
    """Call `other` for the fields of an event that are not in the mapping, up to a conflict with it."""
    with suppress(RefusedError):
        _collect(mapping(), event, {}, other)


def is_refused_name(name: str, path: str) -> bool:
    """Whether Elasticsearch refuses a document for a name in the mapping's object at a path.

    These are what 9.2.8 refuses, whatever the value; below an object that is not mapped it reads no names.
    """
    # Not cached: 4,000 names of 60 KB would be twice the collector's memory.
    parts = name.rstrip(".").split(".")
    return not all(map(str.strip, parts)) or (not path and bool(_METADATA.fullmatch(name)))


def whole_number(text: str) -> int | float | None:
    """Parse a number, as an int if possible; None if it is not a number or not finite."""
    if not _NUMBER.fullmatch(text):
        return None
    try:
        return int(text)
    except ValueError:
        number = float(text)
        return number if math.isfinite(number) else None


def _branch(path: str, spec: Mapping[str, Any]) -> Branch:
    children: dict[str, Leaf | Branch] = {}
    for name, child in spec.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        if child.get("type", "object") == "object":
            children[name] = _branch(below, child)
        else:
            kind = Kind(child["type"])
            limit = child.get("ignore_above", LONG_MAX)
            children[name] = Leaf(
                below, kind, limit, _CONVERT[kind], kind in (Kind.KEYWORD, Kind.TEXT)
            )
    return Branch(path, children, opaque=spec.get("enabled") is False)


def _leaves(branch: Branch) -> list[Leaf]:
    found: list[Leaf] = []
    for child in branch.children.values():
        found += [child] if isinstance(child, Leaf) else _leaves(child)
    return found


def _collect(branch: Branch, value: Mapping[str, Any], found: Values, other: Other) -> None:
    children = branch.children
    for name, item in value.items():
        child = children.get(name)
        if isinstance(child, Leaf):
            if type(item) is str and child.is_text and child.path not in found:  # most values
                if len(item) <= child.ignore_above:
                    found[child.path] = item
            else:
                _collect_leaf(child, item, found)
        elif child is not None:
            if type(item) is dict and not child.opaque:
                _collect(child, item, found, other)
            else:
                _collect_object(child, item, found, other)
        elif is_refused_name(name, branch.path):
            raise RefusedError(
                f"{branch.path or 'an event'} cannot have a field of the name {name!r}"
            )
        elif "." in name and (first := children.get(name.partition(".")[0])):
            _collect_dotted(first, name.partition(".")[2], item, found, other)
        elif branch.path != OWN_FIELDS:
            other(f"{branch.path}.{name}" if branch.path else name, item)


def _collect_dotted(
    child: Leaf | Branch, rest: str, item: object, found: Values, other: Other
) -> None:
    """`{"log.level": …}` means `{"log": {"level": …}}`."""
    if isinstance(child, Leaf):
        raise RefusedError(f"{child.path} is a value in the mapping and cannot contain {rest!r}")
    _collect_object(child, {rest: item}, found, other)


def _collect_object(child: Branch, item: object, found: Values, other: Other) -> None:
    if child.opaque:
        for name, value in item.items() if child.path == MISFITS and isinstance(item, dict) else ():
            other(name, value)
    elif isinstance(item, dict):
        _collect(child, item, found, other)
    elif isinstance(item, _LISTS):
        for element in item:
            _collect_object(child, element, found, other)
    elif item is not None:
        raise RefusedError(f"{child.path} must be an object, not {_short(item)}")


def _collect_leaf(leaf: Leaf, item: object, found: Values) -> None:
    if type(item) not in SCALARS:
        if isinstance(item, dict):
            raise RefusedError(f"{leaf.path} must be a value, not an object")
        if isinstance(item, _LISTS):
            for element in item:
                _collect_leaf(leaf, element, found)
            return
    value = leaf.convert(item)
    if value is None or (type(value) is str and len(value) > leaf.ignore_above):
        return
    before = found.get(leaf.path)
    if before is None:
        found[leaf.path] = value
    elif isinstance(before, list):
        before.append(value)
    else:
        found[leaf.path] = [before, value]


def _short(item: object) -> str:
    text = repr(item)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _to_text(item: object) -> str | None:
    if isinstance(item, str) or item is None:
        return item
    if type(item) is int:  # orjson has none above 64 bits
        return str(item)
    return orjson.dumps(item, default=str).decode().strip('"')


def _to_double(item: object) -> float | None:
    number = whole_number(item) if isinstance(item, str) else item
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    try:
        number = float(number)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _to_long(item: object) -> int | None:
    number = whole_number(item) if isinstance(item, str) else item
    if type(number) is not int:  # the usual case
        if isinstance(number, bool) or not isinstance(number, int | float):
            return None
        if not math.isfinite(number):
            return None
        number = int(number)  # `coerce` truncates 500.7 to 500
    return number if LONG_MIN <= number <= LONG_MAX else None


def _to_boolean(item: object) -> bool | None:
    if isinstance(item, bool):
        return item
    return {"true": True, "false": False, "": False}.get(item) if isinstance(item, str) else None


def _to_date(item: object) -> int | None:
    if isinstance(item, str) and (item[4:5] == "-" or not item.lstrip("-").isdecimal()):
        return time_ranges.microseconds(item)
    milliseconds = _to_long(item)
    if milliseconds is None or not time_ranges.MIN_MS <= milliseconds <= time_ranges.MAX_MS:
        return None
    return milliseconds * 1000


_CONVERT: Final[Mapping[Kind, Callable[[object], Value | None]]] = {
    Kind.KEYWORD: _to_text,
    Kind.TEXT: _to_text,
    Kind.LONG: _to_long,
    Kind.DOUBLE: _to_double,
    Kind.BOOLEAN: _to_boolean,
    Kind.DATE: _to_date,
}
