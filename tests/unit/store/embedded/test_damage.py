"""What is damaged is found, set aside and reported; the rest is kept."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.samples.numbered_events import START, event, messages
from tidegate.store.base import SearchRequest, StoreUnavailableError
from tidegate.store.embedded import folder as layout
from tidegate.store.embedded.repair import problem
from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', "5"])
def test_a_store_with_a_damaged_format_file_is_set_aside(root: Path, text: str) -> None:
    with closing(EmbeddedStore(root)) as store:
        store.forget_damage()  # of the new store
        store.append([event(1)])
    (root / "format.json").write_text(text)
    with pytest.raises(StoreUnavailableError, match="a running collector repairs it"):
        EmbeddedReader(root).search(SearchRequest())
    with closing(EmbeddedStore(root)) as store:
        damage = store.check(content=True)
        assert damage is not None
        assert "format.json cannot be read" in damage.reason
        assert damage.events == 1
        assert messages(store) == []
    assert [path.name for path in layout.aside(root)] == ["damaged-1"]


def test_only_the_newest_damaged_parts_are_kept(root: Path) -> None:
    for number in range(5):
        with closing(EmbeddedStore(root)) as store:
            store.append([event(number)])
        next(root.glob("index-*/*.fast")).write_text("")
        EmbeddedStore(root).close()
    assert [path.name for path in layout.aside(root)] == ["damaged-3", "damaged-4", "damaged-5"]


def test_a_foreign_index_is_refused(root: Path) -> None:
    root.mkdir()
    (root / "meta.json").write_text("{}")
    with pytest.raises(StoreUnavailableError, match="is not Tidegate's"):
        EmbeddedStore(root)


def test_a_damaged_index_is_refused_by_a_reader(root: Path) -> None:
    EmbeddedStore(root).close()
    current = layout.read(root)
    assert current is not None
    (root / current.folder / "meta.json").write_text("{}")
    with pytest.raises(StoreUnavailableError, match="cannot be opened"):
        EmbeddedReader(root).search(SearchRequest())
    assert "meta.json cannot be read" in problem(root, content=False)


@pytest.mark.parametrize("kind", ["store", "term", "idx", "pos", "fast", "fieldnorm"])
def test_a_damaged_segment_is_found_and_the_others_are_kept(root: Path, kind: str) -> None:
    with closing(EmbeddedStore(root)) as store:
        store.forget_damage()  # of the new store
        store.append([event(1)])
        store.append([event(2)])
        assert problem(root, content=True) == ""
        assert store.check(content=True) is None
        path = min(root.glob(f"index-*/*.{kind}"))
        content = bytearray(path.read_bytes())
        content[0] ^= 0xFF
        path.write_bytes(content)
        assert problem(root, content=False) == ""
        assert "a segment" in problem(root, content=True)
        damage = store.check(content=True)
        assert damage is not None
        assert damage.events == 1
        assert len(messages(store)) == 1
        assert store.count() == 1
        store.append([event(1), event(2), event(3)])
        assert (
            messages(store)
            == messages(EmbeddedReader(root))
            == ["number 1", "number 2", "number 3"]
        )
        assert store.check(content=True) == damage
    with closing(EmbeddedStore(root)) as store:
        assert store.check(content=True) == damage
        store.forget_damage()
        assert store.check(content=True) is None


def unreadable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let files of this name be unreadable, as those of another user are (the tests may run as root)."""
    for method in ("read_bytes", "open"):
        real = getattr(Path, method)

        def refused(path: Path, *args: Any, real: Any = real, **more: Any) -> Any:
            if path.match(name):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *args, **more)

        monkeypatch.setattr(Path, method, refused)


@pytest.mark.parametrize("name", ["format.json", "meta.json", "*.term"])
def test_a_file_that_cannot_be_read_is_no_damage(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with closing(EmbeddedStore(root)) as store:
        store.append([event(1)])
        with monkeypatch.context() as patched:
            unreadable(patched, name)
            with pytest.raises(StoreUnavailableError, match="Permission denied"):
                store.check(content=True)
            assert "Permission denied" in problem(root, content=True)
        store.append([event(2)])
        assert messages(store) == ["number 1", "number 2"]
    assert layout.aside(root) == []


def test_a_packed_copy_of_a_damaged_part_does_not_prevent_a_repair(root: Path) -> None:
    with closing(EmbeddedStore(root)) as store:
        store.append([event(1)])
    (root / "damaged-7.tar.gz").write_text("")
    next(root.glob("index-*/*.fast")).write_text("")
    EmbeddedStore(root).close()
    assert [path.name for path in layout.aside(root)] == ["damaged-1"]


def test_without_the_format_file_two_indexes_are_set_aside(root: Path) -> None:
    with closing(EmbeddedStore(root)) as store:
        store.append([event(1)])
    (index,) = root.glob("index-*")
    shutil.copytree(index, root / "index-0123456789abcdef-0")
    (root / "format.json").unlink()
    assert "format.json is missing" in problem(root, content=False)
    with closing(EmbeddedStore(root)):
        assert problem(root, content=True) == ""
    (aside,) = layout.aside(root)
    assert {path.name for path in aside.iterdir()} == {index.name, "index-0123456789abcdef-0"}


def test_events_that_were_deleted_by_their_age_are_no_damage_and_no_part_of_one(
    store: EmbeddedStore, root: Path
) -> None:
    store.append([event(number) for number in range(5)])
    assert store.prune(START + timedelta(seconds=2)) == 2
    assert store.check(content=True) is not None  # the new store
    store.forget_damage()
    assert store.check(content=True) is None
    assert problem(root, content=True) == ""
    (next(root.glob("index-*")) / "meta.json").write_text("{")
    damage = store.check(content=True)
    assert damage is not None
    assert damage.events == 3
