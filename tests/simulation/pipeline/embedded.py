"""The embedded store of a simulation: its index is a double of tantivy's in the simulated files."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import orjson
import tantivy

from tidegate.store.embedded import folder as layout
from tidegate.store.embedded import index
from tidegate.store.embedded import store as embedded

from ..world.files import Folder
from ..world.machine import Machine
from . import tantivy_double
from .invariants import DATA
from .ledger import Ledger

STORE = f"{DATA}/store"


class EmbeddedModel:
    """What the index on the simulated disk has: `visible` are the events by their ids."""

    def __init__(self, machine: Machine, ledger: Ledger) -> None:
        self._machine = machine
        self._files = machine.files
        self._ledger = ledger
        self._visible: dict[str, dict[str, Any]] = {}
        self._segments: dict[str, dict[str, dict[str, Any]]] = {}

    def replacements(self) -> Iterator[tuple[Any, str, Any]]:
        """What production code uses of tantivy, and of the system beside its calls."""
        library = SimpleNamespace(
            Index=tantivy_double.Index,
            SchemaBuilder=tantivy.SchemaBuilder,
            TextAnalyzerBuilder=tantivy.TextAnalyzerBuilder,
            Tokenizer=tantivy.Tokenizer,
        )
        yield index, "tantivy", library
        yield embedded, "times", lambda *_: None
        yield layout, "shutil", SimpleNamespace(rmtree=self._remove_tree)
        yield tantivy_double, "_numbers", itertools.count()
        yield tantivy_double, "_writers", WeakValueDictionary()  # process numbers begin anew

    def _remove_tree(self, path: Any, **options: Any) -> None:
        text = str(path)
        if not text.startswith(STORE):
            shutil.rmtree(path, **options)
            return
        self._machine.call("rmtree", text)
        parent, name = self._files.parent(text)
        parent.rename({name: None})

    def replaced(self, target: str) -> None:
        """A file has a new content: that of meta.json is a commit."""
        if target.startswith(f"{STORE}/index-") and target.endswith("/meta.json"):
            now = self._read()
            for identity, event in now.items():  # in order: that of a set differs between processes
                if identity not in self._visible:
                    self._ledger.stored(identity, event)
            self._visible = now

    def power_failed(self) -> set[str]:
        """The events that were in the index and are not, as the last commits were not on the disk."""
        now = self._read()
        lost = self._visible.keys() - now.keys()
        self._visible = now
        return lost

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            folder = orjson.loads(self._files.get(f"{STORE}/format.json").data)["folder"]
            found = self._files.get(f"{STORE}/{folder}")
            assert isinstance(found, Folder)
            meta = orjson.loads(found.names["meta.json"].data)
        except (OSError, KeyError):
            return {}  # it is not made yet
        visible: dict[str, dict[str, Any]] = {}
        for name in (one["segment_id"].replace("-", "") for one in meta["segments"]):
            if name not in self._segments:
                inode = found.names[f"{name}.store"]
                events = tantivy_double.documents(inode.data)
                self._segments[name] = {
                    one["event.id"]: orjson.loads(one["_source"]) for one in events
                }
            visible |= self._segments[name]
        return visible
