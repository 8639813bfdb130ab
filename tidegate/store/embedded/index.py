"""The tantivy index: its schema, and the conversion of events to documents and back."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import tantivy

from tidegate.events.event import Event, encode
from tidegate.runtime.atomic_files import write_atomically
from tidegate.store.embedded.compiler import IDS, NAMES_FIELD
from tidegate.store.embedded.integrity import META
from tidegate.store.embedded.text_analysis import joined_tokens
from tidegate.store.fields import Kind, catalogue, document_address, project
from tidegate.store.own_fields import NAMES, VALUES, LeftOut, OwnFields, ignore

ID_FIELD: Final = "event.id"
SOURCE_FIELD: Final = "_source"
# The tokenizer of texts, which are split before.
_TOKENS: Final = "tokens"


@cache
def schema() -> tantivy.Schema:
    """Return the schema: the mapped fields, the event line, and the names of the event's texts.

    Keywords are in an index and in a column, and numbers, dates and `IDS` in a column alone (`create`): an
    index of values of which nearly each is unique would cost more than everything else.
    """
    builder = tantivy.SchemaBuilder()
    builder.add_text_field(SOURCE_FIELD, stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field(NAMES_FIELD, tokenizer_name="raw", index_option="basic")
    for leaf in catalogue().values():
        match leaf.kind:
            case Kind.KEYWORD:
                builder.add_text_field(
                    leaf.path, tokenizer_name="raw", index_option="basic", fast=True
                )
            case Kind.TEXT:
                builder.add_text_field(leaf.path, tokenizer_name=_TOKENS)
            case Kind.LONG | Kind.DATE:
                builder.add_integer_field(leaf.path, fast=True)
            case Kind.DOUBLE:
                builder.add_float_field(leaf.path, fast=True)
            case Kind.BOOLEAN:
                builder.add_boolean_field(leaf.path, fast=True, indexed=True)
    return builder.build()


def create(folder: Path, first: int = 0) -> tantivy.Index:
    """Create an index in a new folder, with this mark.

    The builder of schemas makes an index, and a length for a score, of each text field; its file need not.
    Only the file can say that a number may be given as a text.
    """
    folder.mkdir()
    tantivy.Index(schema(), str(folder))
    meta = json.loads((folder / META).read_bytes())
    for field in meta["schema"]:
        if field["name"] in IDS or field["name"] == SOURCE_FIELD:
            del field["options"]["indexing"]
        elif field["type"] == "text":
            field["options"]["indexing"]["fieldnorms"] = False
        elif field["type"] == "f64":
            field["options"]["coerce"] = True
    write_atomically(folder / META, json.dumps({**meta, "opstamp": first}))
    return open_index(folder)


def open_index(folder: Path) -> tantivy.Index:
    """Open the index in a folder.

    Raises:
        ValueError: The folder has no index, or the index is damaged.
    """
    index = tantivy.Index.open(str(folder))
    words = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
    index.register_tokenizer(_TOKENS, words)
    # A search reloads a changed index: no thread watches the folder.
    index.config_reader("manual")
    return index


def state(folder: Path) -> tuple[int, int]:
    """Return a value that changes with every commit.

    Raises:
        OSError: There is no index.
    """
    status = (folder / META).stat()
    return status.st_mtime_ns, status.st_ino


def mark(folder: Path) -> int:
    """Return the number of the last commit, which grows with each (tantivy's `opstamp`).

    Raises:
        OSError: There is no index.
        ValueError: The index is damaged.
    """
    return int(json.loads((folder / META).read_bytes())["opstamp"])


def document(event: Event, report: LeftOut = ignore) -> tuple[str, str]:
    """Return the event's id, and its document as the JSON that tantivy reads.

    Raises:
        RefusedError: The event can never be stored.
    """
    identity = document_address(event).id
    line = encode(event)[:-1]
    try:
        return identity, _document(identity, line, event, report)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # The event has a value that JSON does not have (a lone surrogate, a number type of a library):
        # index the value that was encoded instead.
        return identity, _document(identity, line, orjson.loads(line), report)


def _document(identity: str, line: bytes, event: Event, report: LeftOut) -> str:
    own = OwnFields()
    values = project(event, own.add)
    if own.left_out:
        report(event, own.left_out)
    if own.names:
        values[NAMES], values[VALUES] = list(own.names), list(own.values)
    fields: dict[str, object] = {**values, ID_FIELD: identity, SOURCE_FIELD: line.decode()}
    if names := [*(_fields(Kind.TEXT) & values.keys())]:
        fields[NAMES_FIELD] = names
        for name in names:
            fields[name] = joined_tokens(values[name])
    for name in _fields(Kind.DOUBLE) & values.keys():
        # As a number in JSON tantivy reads one of 17 digits as one next to it, one of nine times.
        number = values[name]
        fields[name] = [*map(repr, number)] if isinstance(number, list) else repr(number)
    return orjson.dumps(fields).decode()


@cache
def _fields(kind: Kind) -> frozenset[str]:
    return frozenset(leaf.path for leaf in catalogue().values() if leaf.kind is kind)


def event(document: tantivy.Document) -> Event:
    """Return the event of a document."""
    return dict(orjson.loads(document.get_first(SOURCE_FIELD) or b"{}"))


def count(found: Any) -> int:
    """Return the number of matches (the attribute is missing in tantivy's type hints)."""
    return int(found.count)
