"""The double of tantivy's index shows the same documents as the real one after the same operations."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import tantivy

from tidegate.store.embedded import index, store
from tidegate.store.embedded.integrity import Integrity, segments

from . import tantivy_double

OPERATIONS = ("add", "add", "add", "commit", "commit", "rollback", "kill")
DOUBLE = SimpleNamespace(
    Index=tantivy_double.Index,
    SchemaBuilder=tantivy.SchemaBuilder,
    TextAnalyzerBuilder=tantivy.TextAnalyzerBuilder,
    Tokenizer=tantivy.Tokenizer,
)


def run(folder: Path, operations: list[str]) -> list[Any]:
    """What is seen after each operation: the ids, whether the mark grew, and what a second writer gets."""
    index.create(folder, 7)
    opened: Any = index.open_index(folder)
    writer: Any = opened.writer(15_000_000, 1)
    seen: list[Any] = []
    before, added = index.mark(folder), False
    for number, operation in enumerate(operations):
        if operation == "add":
            writer.add_json(
                json.dumps({"event.id": f"event-{number}", "_source": f'{{"n": {number}}}'})
            )
        elif operation == "kill":
            del writer  # nothing was committed
            writer = opened.writer(15_000_000, 1)
        else:
            getattr(writer, operation)()
        with pytest.raises(ValueError, match="LockBusy"):
            opened.writer(15_000_000, 1)
        opened.reload()
        searcher = opened.searcher()
        ids = [one for one in range(number + 1) if searcher.doc_freq("event.id", f"event-{one}")]
        mark = index.mark(folder)
        grew = mark > before if operation == "commit" and added else None
        added = operation == "add"
        seen.append((ids, searcher.num_docs, grew))
        before = mark
    writer.wait_merging_threads()
    found = segments(folder)
    assert Integrity().damaged(folder) == []
    assert sum(one.events for one in found) == searcher.num_docs
    assert len(found) <= 8 + searcher.num_docs // 8
    seen.append(sorted(one["n"] for one in store._all_events(folder, lambda *_: None)))
    return seen


@pytest.mark.parametrize("seed", range(3))
def test_the_double_of_the_index_shows_what_the_real_one_shows(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = Random(seed).choices(OPERATIONS, k=50)
    real = run(tmp_path / "real", operations)
    monkeypatch.setattr(index, "tantivy", DOUBLE)
    assert run(tmp_path / "double", operations) == real


def test_a_writer_that_could_not_commit_has_stored_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = list[tuple[int, int]]()
    for library in (tantivy, DOUBLE):
        monkeypatch.setattr(index, "tantivy", library)
        folder = tmp_path / str(len(shown))
        index.create(folder)
        opened: Any = index.open_index(folder)
        writer: Any = opened.writer(15_000_000, 1)
        writer.add_json(json.dumps({"event.id": "kept", "_source": "{}"}))
        writer.commit()
        writer.add_json(json.dumps({"event.id": "lost", "_source": "{}"}))
        moved = folder.rename(tmp_path / "moved")
        with pytest.raises(ValueError, match="No such file"):
            writer.commit()
        del writer
        moved.rename(folder)
        again: Any = index.open_index(folder)
        shown.append((again.searcher().num_docs, again.searcher().doc_freq("event.id", "lost")))
    assert shown == [(1, 0), (1, 0)]
