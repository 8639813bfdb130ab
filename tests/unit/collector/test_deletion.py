"""Deletion of delivered files and expired events under load and failures."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

from support.doubles.raising import no_space_left, raising
from support.harnesses.collector_harness import NOW, Harness, event, until_done
from tidegate.collector.delivery import PRUNE_SECONDS
from tidegate.collector.retention import Retention
from tidegate.collector.tail import Limits
from tidegate.events.writer import EventWriter
from tidegate.store.base import StoreUnavailableError
from tidegate.store.embedded.store import EmbeddedStore

NO_FILES = Retention(0.0, 0)


def test_files_are_deleted_only_after_their_delivery(harness: Harness) -> None:
    harness.keep = NO_FILES
    rotating = EventWriter(harness.logs, "flights-1", file_bytes=10)
    for number in range(5):
        rotating.write(event(str(number)))
    for path in harness.logs.iterdir():
        os.utime(path, (NOW, NOW))
    with closing(harness.collector()) as delivery:
        harness.fault = raising(StoreUnavailableError("away"))
        delivery.step()
        assert len(harness.files) == 5
        harness.fault = None
        until_done(delivery)
        harness.now += 3600
        until_done(delivery)
        assert len(harness.files) == 1  # the newest, which its writer holds
        rotating.close()
        until_done(delivery)
        assert harness.files == []
        delivery.step()
        assert delivery.tail.offsets.keys() <= {path.name for path in harness.logs.iterdir()}
    assert sorted(harness.messages()) == ["0", "1", "2", "3", "4"]


def test_a_file_that_grew_after_its_size_was_read_is_not_deleted(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.keep = NO_FILES
    rotating = EventWriter(harness.logs, "flights-1", file_bytes=1000)
    rotating.write(event("a"))
    with closing(harness.collector()) as delivery:
        until_done(delivery)
        found = delivery.tail._list

        def listed() -> dict[str, os.stat_result]:
            """The first file as it was; what is written meanwhile ends it and begins the next."""
            sizes = found()
            while len(now := found()) == 1:
                rotating.write(event("b"))
            return {**now, **sizes}

        monkeypatch.setattr(delivery.tail, "_list", listed)
        delivery.step()
        monkeypatch.undo()
        rotating.close()
        until_done(delivery)
    assert set(harness.messages()) == {"a", "b"}
    assert len(harness.messages()) >= 3


def test_files_are_deleted_and_old_events_pruned_while_there_is_always_more_to_deliver(
    harness: Harness,
) -> None:
    harness.limits = Limits(10, 65_536, 1024)
    harness.keep = Retention(1e9, 20_000)
    rotating = EventWriter(harness.logs, "flights-1", 3000, clock_ns=lambda: int(NOW * 1e9))
    rotating.write(event("old", ago=8 * 86_400))
    sizes = []
    with closing(harness.collector()) as delivery:
        for _ in range(40):
            for number in range(10):
                rotating.write(event(str(number)))
            assert delivery.step().more
            sizes.append(sum(path.stat().st_size for path in harness.logs.iterdir()))
        assert harness.messages("message:old") == []
        rotating.close()
    # In addition to the retained files there are the open file and what was delivered since the last step.
    assert max(sizes) <= 20_000 + 2 * (3000 + 10 * 360)
    assert max(sizes) > 20_000


def test_files_are_deleted_while_the_store_is_unavailable(harness: Harness) -> None:
    harness.keep = NO_FILES
    rotating = EventWriter(harness.logs, "flights-1", file_bytes=10)
    rotating.write(event("a"))
    with closing(harness.collector()) as delivery:
        until_done(delivery)
        harness.fault = no_space_left()
        rotating.write(event("b"))
        rotating.close()
        for path in harness.logs.iterdir():
            os.utime(path, (NOW - 3600, NOW - 3600))
        assert len(harness.files) == 2
        assert delivery.step().retry_seconds > 0
        (left,) = harness.files
        assert b'"message":"b"' in left.read_bytes()


def test_a_failed_deletion_of_events_is_logged_and_blocks_nothing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = raising(StoreUnavailableError("no space is left"))
    monkeypatch.setattr(EmbeddedStore, "prune", full)
    with closing(harness.collector()) as delivery:
        for text in ("a", "b"):
            harness.write(text)
            until_done(delivery)
    assert harness.messages() == ["a", "b"]
    assert harness.messages("event.action:prune-failed") == [
        "old events are not deleted: no space is left"
    ]


DAY = 86_400


def test_a_clock_that_is_ahead_for_a_minute_deletes_nothing(harness: Harness) -> None:
    harness.keep = Retention(DAY, 10**9)
    harness.write("old")
    harness.writer.close()
    for file in harness.files:
        os.utime(file, (NOW, NOW))
    with closing(harness.collector()) as delivery:
        until_done(delivery)
        harness.now += 40 * DAY
        harness.write("during")
        for _ in range(6):
            until_done(delivery)
            harness.now += 10
        assert len(harness.files) == 2
        harness.now -= 40 * DAY
        until_done(delivery)
        harness.now += PRUNE_SECONDS
        until_done(delivery)
    assert harness.messages() == ["old", "during"]


def test_searches_at_a_wrong_time_delete_nothing_and_at_a_right_one_what_has_expired(
    harness: Harness,
) -> None:
    harness.keep = Retention(DAY, 10**9)

    def search(message: str) -> None:
        """What a search without a collector does: it delivers what was written, and ends."""
        written = {*harness.files}
        harness.write(message)
        harness.writer.close()
        for file in {*harness.files} - written:
            os.utime(file, (harness.now, harness.now))
        harness.deliver()
        harness.now += 60

    search("a")
    harness.now += 40 * DAY
    for message in ("b", "c", "d"):
        search(message)
    harness.now -= 40 * DAY
    search("e")
    assert harness.messages() == ["a", "b", "c", "d", "e"]
    assert len(harness.files) == 5
    harness.now += 2 * DAY  # nobody searched
    search("f")
    harness.now += 3600
    search("g")
    assert len(harness.files) == 5  # b, c, d, f and g


@pytest.mark.parametrize("running", [False, True])
def test_files_of_events_that_a_wrong_clock_deleted_are_delivered_again(
    harness: Harness, running: bool
) -> None:
    harness.write("a")
    delivery = harness.collector()
    until_done(delivery)
    for _ in range(7):  # for more than an hour
        harness.now += 40 * DAY if harness.now == NOW else PRUNE_SECONDS
        until_done(delivery)
    assert harness.messages() == []
    harness.write("b")
    until_done(delivery)
    if not running:
        delivery.close()
        delivery = harness.collector()
    harness.now = NOW + PRUNE_SECONDS
    with closing(delivery):
        delivery.step()
        until_done(delivery)
        assert harness.messages() == ["a", "b"]
        harness.now += PRUNE_SECONDS
        until_done(delivery)
    assert harness.messages() == ["a", "b"]
    assert harness.metric("store_damages_total") == 1


def test_expired_events_are_deleted_at_intervals(harness: Harness) -> None:
    harness.writer.write(event("old", ago=8 * 86_400))
    harness.write("young")
    with closing(harness.collector()) as delivery:
        until_done(delivery)
        assert harness.messages() == ["young"]
        harness.writer.write(event("older", ago=9 * 86_400))
        until_done(delivery)
        assert harness.messages() == ["older", "young"]
        harness.now += PRUNE_SECONDS
        until_done(delivery)
        assert harness.messages() == ["young"]
