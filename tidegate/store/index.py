"""The tantivy index of events: its typed fields, an event as a document of it, and its folder opened."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson
import tantivy

from tidegate.events import Event, encode
from tidegate.store.compiler import NAMES_FIELD
from tidegate.store.fields import Kind, catalogue, place, project
from tidegate.store.words import analyzer

ID_FIELD: Final = "_id"
SOURCE_FIELD: Final = "_source"
_WORDS: Final = "words"
_MAX_NAMES: Final = 1024


def schema() -> tantivy.Schema:
    """The fields of the catalogue, the id, the event's line, and the names of the fields it has."""
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
                builder.add_text_field(leaf.path, tokenizer_name=_WORDS)
            case Kind.LONG | Kind.DATE:
                builder.add_integer_field(leaf.path, fast=True, indexed=True)
            case Kind.DOUBLE:
                builder.add_float_field(leaf.path, fast=True, indexed=True)
            case Kind.BOOLEAN:
                builder.add_boolean_field(leaf.path, fast=True, indexed=True)
    return builder.build()


def create(folder: Path) -> tantivy.Index:
    """A new index in a new folder."""
    folder.mkdir()
    return _ready(tantivy.Index(schema(), str(folder)))


def open_index(folder: Path) -> tantivy.Index:
    """The index in a folder.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    return _ready(tantivy.Index.open(str(folder)))


def state(folder: Path) -> tuple[int, int]:
    """What changes with every commit.

    Raises:
        OSError: there is no index.
    """
    found = (folder / "meta.json").stat()
    return found.st_mtime_ns, found.st_ino


def document(event: Event, to: tantivy.Schema) -> tuple[str, tantivy.Document]:
    """The event's id, and its document.

    Raises:
        RefusedError: the event cannot be stored, ever.
    """
    identity = place(event).id
    line = encode(event)[:-1]
    try:
        return identity, _document(identity, line, event, to)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # It holds what JSON does not (a lone surrogate, a number of some library): take what was
        # written in its place.
        return identity, _document(identity, line, orjson.loads(line), to)


def _document(identity: str, line: bytes, event: Event, to: tantivy.Schema) -> tantivy.Document:
    values = project(event)
    names = _names(tuple(values))
    held = {ID_FIELD: identity, SOURCE_FIELD: line, NAMES_FIELD: names, **values}
    return tantivy.Document.from_dict(held, to)


def event(document: tantivy.Document) -> Event:
    """The event that a document holds."""
    line = document.get_first(SOURCE_FIELD)
    return dict(orjson.loads(bytes(line or b"{}")))


def count(found: Any) -> int:
    """How many matched (tantivy's types do not know the attribute)."""
    return int(found.count)


def _ready(index: tantivy.Index) -> tantivy.Index:
    index.register_tokenizer(_WORDS, analyzer())
    # Reloaded when a search finds that it has changed: no thread of its own that watches the folder.
    index.config_reader("manual")
    return index


@lru_cache(_MAX_NAMES)
def _names(paths: tuple[str, ...]) -> list[str]:
    """The fields, and the objects that hold them: `_exists_:http` finds what has any of its fields."""
    names = set(paths)
    for path in paths:
        parts = path.split(".")
        names.update(".".join(parts[:depth]) for depth in range(1, len(parts)))
    return sorted(names)
