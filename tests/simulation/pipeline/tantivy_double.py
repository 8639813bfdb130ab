"""An index in files as tantivy's was seen to write them (strace, 0.27), with calls that the world can fail.

A commit writes and flushes the files of one segment, flushes the folder, and replaces meta.json. The new name
of meta.json is not flushed. Eight segments of one commit each become one, whose files are written likewise;
then files that meta.json does not name are deleted. A writer that has failed is dead, and as long as somebody
holds it, no other opens. `test_tantivy_double.py` compares what both show.
"""

from __future__ import annotations

import itertools
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import orjson

KINDS = ("store", "term", "idx", "pos", "fast", "fieldnorm")
MERGED = 8
_MAGIC = 1337
_numbers = itertools.count()
_writers: WeakValueDictionary[tuple[int, str], Writer] = WeakValueDictionary()

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search: all documents, or the number of those that are too old, which none is."""

    hits: list[tuple[float, int]]
    count: int = 0


class Searcher:
    """The documents of a commit."""

    def __init__(self, segments: list[list[Document]]) -> None:
        self.documents = [one for segment in segments for one in segment]
        self.num_docs = len(self.documents)
        self._ids = {one["event.id"] for one in self.documents}

    def doc_freq(self, _field: str, value: str) -> int:
        return int(value in self._ids)

    def search(self, _query: object, limit: int, *, count: bool = True, offset: int = 0) -> Found:
        return Found([(1.0, at) for at in range(offset, min(offset + limit, self.num_docs))])

    def doc(self, address: int) -> SimpleNamespace:
        return SimpleNamespace(get_first=self.documents[address].get)


class Index:
    """An index in a folder."""

    def __init__(self, schema: object, path: str) -> None:
        self.path, self.schema = path, schema
        self._known: dict[str, list[Document]] = {}
        self._segments: list[list[Document]] = []
        if schema is not None:
            self.save([], 0)

    @classmethod
    def open(cls, path: str) -> Index:
        index = cls(None, path)
        index.reload()
        return index

    def register_tokenizer(self, *_: object) -> None:
        """Texts are not analyzed."""

    def config_reader(self, *_: object) -> None:
        """It is reloaded by hand."""

    def meta(self) -> dict[str, Any]:
        try:
            return dict(json.loads(Path(self.path, "meta.json").read_bytes()))
        except OSError as error:
            raise ValueError(f"An IO error occurred: '{error}'") from error

    def reload(self) -> None:
        names = [one["segment_id"].replace("-", "") for one in self.meta()["segments"]]
        try:
            self._known = {name: self._known.get(name) or self._read(name) for name in names}
        except OSError as error:
            raise ValueError(f"An IO error occurred: '{error}'") from error
        self._segments = list(self._known.values())

    def _read(self, name: str) -> list[Document]:
        return documents(Path(self.path, f"{name}.store").read_bytes())

    def searcher(self) -> Searcher:
        return Searcher(self._segments)

    def writer(self, _heap: int, _threads: int) -> Writer:
        key = os.getpid(), self.path
        if key in _writers:
            raise ValueError("Failed to acquire Lockfile: LockBusy")
        writer = _writers[key] = Writer(self)
        return writer

    def save(self, segments: list[dict[str, Any]], stamp: int) -> None:
        """Replace meta.json, after the folder was flushed."""
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        temporary = f"{self.path}/.tmp{next(_numbers)}"
        content = {"index_settings": {}, "segments": segments, "schema": [], "opstamp": stamp}
        _write(temporary, json.dumps(content).encode())
        Path(temporary).replace(Path(self.path, "meta.json"))


class Writer:
    """The writer of an index."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._stamp = int(index.meta()["opstamp"])
        self._added: list[bytes] = []
        self._first = True

    def add_json(self, text: str) -> None:
        self._added.append(text.encode())
        self._stamp += 1

    def rollback(self) -> None:
        self._added.clear()

    def commit(self) -> int:
        self._stamp += 1
        try:
            segments = self._index.meta()["segments"]
            if self._added:
                segments.append(self._segment(self._added))
                self._added = []
            self._index.save(segments, self._stamp)
            self._merge(segments)
        except OSError as error:
            raise ValueError(f"An IO error occurred: '{error}'") from error
        return self._stamp

    def wait_merging_threads(self) -> None:
        """A merge has ended with its commit."""

    def _segment(self, lines: list[bytes]) -> dict[str, Any]:
        number = f"{next(_numbers):032x}"
        for kind in KINDS:
            body = b"\n".join(lines) if kind == "store" else b""
            footer = json.dumps({"crc": zlib.crc32(body)}).encode()
            tail = len(footer).to_bytes(4, "little") + _MAGIC.to_bytes(4, "little")
            _write(f"{self._index.path}/{number}.{kind}", body + footer + tail)
        name = f"{number[:8]}-{number[8:12]}-{number[12:16]}-{number[16:20]}-{number[20:]}"
        return {"segment_id": name, "max_doc": len(lines), "deletes": None}

    def _merge(self, segments: list[dict[str, Any]]) -> None:
        small = [one for one in segments if one["max_doc"] < MERGED][:MERGED]
        merged = len(small) == MERGED
        if merged:
            lines = list[bytes]()
            for one in small:
                name = one["segment_id"].replace("-", "")
                lines += _lines(Path(self._index.path, f"{name}.store").read_bytes())
            segments = [one for one in segments if one not in small]
            segments.append(self._segment(lines))
            self._index.save(segments, self._stamp)
        if merged or self._first:
            self._first = False
            named = {one["segment_id"].replace("-", "") for one in segments}
            with os.scandir(self._index.path) as entries:
                for entry in entries:
                    name, _, kind = entry.name.partition(".")
                    if kind in KINDS and name not in named:
                        Path(entry.path).unlink()


def documents(content: bytes | bytearray) -> list[Document]:
    """The documents in the file of a segment."""
    return [orjson.loads(one) for one in _lines(bytes(content))]


def _lines(content: bytes) -> list[bytes]:
    body = content[: len(content) - 8 - int.from_bytes(content[-8:-4], "little")]
    return body.split(b"\n") if body else []


def _write(path: str, content: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        while content:
            content = content[os.write(number, content) :]
        os.fsync(number)
    finally:
        os.close(number)
