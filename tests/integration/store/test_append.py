"""Appended events are stored once, unchanged, and visible to all readers."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from support.harnesses.store_scene import Scene
from tidegate.store import open_store
from tidegate.store.base import StoreUnavailableError


def test_an_appended_event_is_found_unchanged(scene: Scene) -> None:
    event = scene.event(
        "hello", tidegate={"attributes": {"deep": [1, {"x": None}]}, "odd": "ünï🚀"}
    )
    assert scene.store.append([event]) == []
    assert scene.search().hits == [event]


def test_of_two_events_with_one_id_the_first_is_kept(scene: Scene) -> None:
    first = scene.event("first")
    second, third = first | {"message": "second"}, first | {"message": "third"}
    assert scene.store.append([first, second, first]) == []
    assert scene.store.append([third]) == []
    assert scene.found("") == ["first"]


def test_a_reader_sees_what_a_writer_appends(scene: Scene) -> None:
    with closing(open_store(scene.settings, read_only=True)) as reader:
        readable = Scene(scene.settings, reader, scene.start)
        scene.store.append([scene.event("first")])
        assert readable.found("") == ["first"]
        scene.store.append([scene.event("second", seconds=1)])
        assert readable.found("") == ["first", "second"]


def test_a_closed_store_is_unavailable(scene: Scene, tmp_path: Path) -> None:
    stack = scene.settings.stack.model_copy(update={"data_dir": tmp_path})
    store = open_store(scene.settings.model_copy(update={"stack": stack}))
    store.close()
    with pytest.raises(StoreUnavailableError, match="is closed"):
        store.append([scene.event()])


def test_a_reader_appends_nothing(scene: Scene) -> None:
    with closing(open_store(scene.settings, read_only=True)) as reader:
        assert reader.append([]) == []
        with pytest.raises(StoreUnavailableError, match="for reading only"):
            reader.append([scene.event()])
