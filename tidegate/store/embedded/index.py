"""The tantivy index: its schema, and the conversion of events to documents and back."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson
import tantivy

from tidegate.events.event import Event, encode
from tidegate.store.embedded.compiler import NAMES_FIELD
from tidegate.store.embedded.text_analysis import analyzer
from tidegate.store.fields import Kind, catalogue, document_address, project
from tidegate.store.own_fields import NAMES, VALUES, LeftOut, ignore, own_fields

ID_FIELD: Final = "_id"
SOURCE_FIELD: Final = "_source"
_TOKENIZER: Final = "words"
_MAX_NAMES: Final = 1024


def schema() -> tantivy.Schema:
    """Return the schema: the mapped fields, the id, the event line, and the names of the event's fields."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field(ID_FIELD, tokenizer_name="raw", index_option="basic")
    builder.add_bytes_field(SOURCE_FIELD, stored=True)
    builder.add_text_field(NAMES_FIELD, tokenizer_name="raw", index_option="basic")
    for leaf in catalogue().values():
        match leaf.kind:
            case Kind.KEYWORD:
                builder.add_text_field(
                    leaf.path, tokenizer_name="raw", index_option="basic", fast=True
                )
            case Kind.TEXT:
                builder.add_text_field(leaf.path, tokenizer_name=_TOKENIZER)
            case Kind.LONG | Kind.DATE:
                builder.add_integer_field(leaf.path, fast=True, indexed=True)
            case Kind.DOUBLE:
                builder.add_float_field(leaf.path, fast=True, indexed=True)
            case Kind.BOOLEAN:
                builder.add_boolean_field(leaf.path, fast=True, indexed=True)
    return builder.build()


def create(folder: Path) -> tantivy.Index:
    """Create an index in a new folder."""
    folder.mkdir()
    return _configure(tantivy.Index(schema(), str(folder)))


def open_index(folder: Path) -> tantivy.Index:
    """Open the index in a folder.

    Raises:
        ValueError: The folder has no index, or the index is damaged.
    """
    return _configure(tantivy.Index.open(str(folder)))


def state(folder: Path) -> tuple[int, int]:
    """Return a value that changes with every commit.

    Raises:
        OSError: There is no index.
    """
    status = (folder / "meta.json").stat()
    return status.st_mtime_ns, status.st_ino


def document(
    event: Event, to: tantivy.Schema, report: LeftOut = ignore
) -> tuple[str, tantivy.Document]:
    """Return the event's id and document.

    Raises:
        RefusedError: The event can never be stored.
    """
    identity = document_address(event).id
    line = encode(event)[:-1]
    try:
        return identity, _document(identity, line, event, to, report)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # The event has a value that JSON does not have (a lone surrogate, a number type of a library):
        # index the value that was encoded instead.
        return identity, _document(identity, line, orjson.loads(line), to, report)


def _document(
    identity: str, line: bytes, event: Event, to: tantivy.Schema, report: LeftOut
) -> tantivy.Document:
    values = project(event)
    own = own_fields(event, report)
    if own.names:
        values[NAMES], values[VALUES] = list(own.names), list(own.values)
    names = _names(tuple(values))
    fields = {ID_FIELD: identity, SOURCE_FIELD: line, NAMES_FIELD: names, **values}
    return tantivy.Document.from_dict(fields, to)


def event(document: tantivy.Document) -> Event:
    """Return the event of a document."""
    line = document.get_first(SOURCE_FIELD)
    return dict(orjson.loads(bytes(line or b"{}")))


def count(found: Any) -> int:
    """Return the number of matches (the attribute is missing in tantivy's type hints)."""
    return int(found.count)


def _configure(index: tantivy.Index) -> tantivy.Index:
    index.register_tokenizer(_TOKENIZER, analyzer())
    # A search reloads a changed index: no thread watches the folder.
    index.config_reader("manual")
    return index


@lru_cache(_MAX_NAMES)
def _names(paths: tuple[str, ...]) -> list[str]:
    """Return the fields and their parent objects: `_exists_:http` matches events with any field of it."""
    names = set(paths)
    for path in paths:
        parts = path.split(".")
        names.update(".".join(parts[:depth]) for depth in range(1, len(parts)))
    return sorted(names)
