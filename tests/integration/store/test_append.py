"""Appended events are stored once, unchanged, and visible to all readers."""

from __future__ import annotations

from contextlib import closing

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


def test_a_reader_appends_nothing(scene: Scene) -> None:
    with closing(open_store(scene.settings, read_only=True)) as reader:
        assert reader.append([]) == []
        with pytest.raises(StoreUnavailableError, match="for reading only"):
            reader.append([scene.event()])


def test_ten_thousand_events_are_found(scene: Scene) -> None:
    events = [scene.event(f"number {n}", seconds=n, tidegate={"rows": n}) for n in range(10_000)]
    # In batches of the size that the collector sends: a request may take 20 s, also on a busy machine.
    size = scene.settings.collector.batch_events
    for start in range(0, len(events), size):
        assert scene.store.append(events[start : start + size]) == []
    found = scene.search(size=10_000, order="asc")
    assert found.total == 10_000
    assert [hit["tidegate"]["rows"] for hit in found.hits] == list(range(10_000))
    assert scene.search("tidegate.rows:[5000 TO 5999]", size=0).total == 1000


def test_a_large_event_is_stored(scene: Scene) -> None:
    event = scene.event("word " * 200_000)
    assert scene.store.append([event]) == []
    assert scene.search("message:word").hits == [event]
