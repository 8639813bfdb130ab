"""Event files that somebody deletes, cuts or replaces, and damage of the embedded store."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from support.doubles.raising import no_space_left, raising
from support.harnesses.collector_harness import NOW, Harness, event, until_done
from tidegate.collector.delivery import CHECK_SECONDS
from tidegate.collector.retention import Retention
from tidegate.collector.tail import Limits
from tidegate.events.event import Event, encode
from tidegate.events.writer import EventWriter
from tidegate.store import fields
from tidegate.store.base import StoreUnavailableError
from tidegate.store.embedded import store as embedded
from tidegate.store.embedded.folder import FORMAT
from tidegate.store.fields import DocumentAddress, RefusedError, document_address

A_MINUTE = Retention(60, 10**9)


def end_an_hour_ago(harness: Harness) -> None:
    """Let the writer have ended before the begin of a retention of a minute."""
    harness.writer.close()
    for path in harness.files:
        os.utime(path, (NOW - 3600, NOW - 3600))


@pytest.mark.parametrize(("how", "lines"), [("deleted", 2), ("cut", 1), ("replaced", 2)])
def test_undelivered_events_that_somebody_removes_are_counted_and_logged(
    harness: Harness, how: str, lines: int
) -> None:
    with closing(harness.collector()) as delivery:
        harness.write("a", "b")
        until_done(delivery)
        harness.fault = raising(StoreUnavailableError("away"))
        harness.write("c", "d")
        assert delivery.step().retry_seconds > 0
        (path,) = harness.files
        whole = path.read_bytes().splitlines(keepends=True)
        if how == "deleted":
            path.unlink()
        elif how == "cut":
            path.write_bytes(b"".join(whole[:3]))
        else:
            other = path.with_name("other")
            other.write_bytes(whole[0])
            other.replace(path)
        harness.fault = None
        until_done(delivery)
    assert harness.metric("lost_bytes_total") == sum(len(line) for line in whole[-lines:])
    (message,) = harness.messages("event.action:events-lost AND log.level:error")
    assert message.startswith(f"{path.name} was {how}: ")


def test_events_that_are_deleted_while_no_collector_runs_are_counted(harness: Harness) -> None:
    harness.limits = Limits(2, 65_536, 1024)
    harness.write("a", "b", "c")
    with closing(harness.collector()) as delivery:
        assert delivery.step().more
    (path,) = harness.files
    last = path.read_bytes().splitlines(keepends=True)[-1]
    path.unlink()
    harness.deliver()
    assert harness.metric("lost_bytes_total") == len(last)


def test_a_delivered_file_that_is_deleted_is_no_loss(harness: Harness) -> None:
    harness.write("a")
    with closing(harness.collector()) as delivery:
        until_done(delivery)
        for path in harness.logs.iterdir():
            path.unlink()
        until_done(delivery)
    harness.deliver()
    assert harness.metric("lost_bytes_total") == 0


def test_a_file_that_the_collector_deleted_itself_is_no_loss(harness: Harness) -> None:
    with closing(harness.collector()) as delivery:
        harness.write("a")
        until_done(delivery)
        end_an_hour_ago(harness)
        delivery.keep = A_MINUTE
        delivery.step()
        assert harness.files == []
        delivery.tail.offsets.clear()  # as damage of the store does
        until_done(delivery)
    assert harness.metric("lost_bytes_total") == 0


def test_a_replaced_file_is_read_from_its_start(harness: Harness) -> None:
    with closing(harness.collector()) as delivery:
        harness.write("a")
        until_done(delivery)
        (path,) = harness.files
        other = EventWriter(harness.root / "elsewhere", "flights-1")
        for text in ("b", "c" * 50):
            other.write(event(text))
        other.close()
        (made,) = (harness.root / "elsewhere").iterdir()
        made.replace(path)
        until_done(delivery)
    assert harness.messages() == ["a", "b", "c" * 50]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_file_that_was_emptied_and_filled_again_between_two_scans_is_read_from_its_start(
    harness: Harness, restarted: bool
) -> None:
    """Its inode is the same, and it is longer than what was delivered."""
    delivery = harness.collector()
    harness.write("a", "b")
    until_done(delivery)
    (path,) = harness.files
    path.write_bytes(b"".join(encode(event(text)) for text in ("c", "d", "e")))
    if restarted:
        delivery.close()
        delivery = harness.collector()
    with closing(delivery):
        until_done(delivery)
        harness.write("f")
        until_done(delivery)
    assert harness.messages() == ["a", "b", "c", "d", "e", "f"]
    assert harness.terminal.getvalue().count("was replaced: reading it from its start") == 1


def flip_a_byte(root: Path) -> None:
    path = next(root.glob("index-*/*.term"))
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)


Damage = Callable[[Path], object]
DAMAGES: dict[str, Damage] = {
    "no store": shutil.rmtree,
    "no index": lambda root: shutil.rmtree(next(root.glob("index-*"))),
    "no format": lambda root: (root / "format.json").unlink(),
    "another format": lambda root: (root / "format.json").write_text("{"),
    "another meta": lambda root: (next(root.glob("index-*")) / "meta.json").write_text("{"),
    "no segment": lambda root: next(root.glob("index-*/*.store")).unlink(),
}
# Damage of the content is found by the check some seconds after the start.
CASES = [*((damage, stopped) for damage in DAMAGES for stopped in (False, True)), ("a byte", False)]


@pytest.mark.parametrize(("kind", "stopped"), CASES)
def test_a_damaged_store_is_restored_from_the_event_files(
    harness: Harness, kind: str, stopped: bool
) -> None:
    damage = DAMAGES.get(kind, flip_a_byte)
    delivery = harness.collector()
    for text in ("a", "b", "c"):
        harness.write(text)
        harness.writer.write_line(b"nonsense\n")
        until_done(delivery)
    if stopped:
        delivery.close()
        damage(harness.root / "store")
        delivery = harness.collector()
    else:
        damage(harness.root / "store")
    with closing(delivery):
        harness.now += CHECK_SECONDS
        delivery.step()
        harness.write("d")
        until_done(delivery)
    assert harness.messages() == ["a", "b", "c", "d"]
    assert [entry["line"] for entry in harness.quarantined()] == ["nonsense"] * 3
    if kind == "no format":
        return  # nothing is lost with it
    assert len(harness.messages("event.action:store-damaged AND log.level:error")) == 1
    (message,) = harness.messages("event.action:store-restored")
    assert "are in the store again; " in message
    assert harness.metric("store_damages_total") == 1
    assert harness.metric("lost_events_total") == 0


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("kind", ["no store", "another meta", "no segment"])
def test_a_failure_between_repair_and_checkpoint_does_not_forget_the_damage(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, kind: str, restarted: bool
) -> None:
    delivery = harness.collector()
    for text in ("a", "b"):
        harness.write(text)
        until_done(delivery)
    DAMAGES[kind](harness.root / "store")
    harness.now += CHECK_SECONDS
    with monkeypatch.context() as patched:
        patched.setattr(delivery.checkpoint, "save", no_space_left())
        assert delivery.step().retry_seconds > 0
    if restarted:
        delivery.close()
        delivery = harness.collector()
        harness.write("c")
    with closing(delivery):
        until_done(delivery)
    assert harness.messages()[:2] == ["a", "b"]
    assert harness.metric("store_damages_total") == 1
    (message,) = harness.messages("event.action:store-restored")
    assert message.endswith("none is lost")


def test_a_damaged_store_and_an_unreadable_checkpoint_are_restored_without_a_false_loss(
    harness: Harness,
) -> None:
    with closing(harness.collector()) as delivery:
        for text in ("a", "b"):
            harness.write(text)
            until_done(delivery)
    DAMAGES["no segment"](harness.root / "store")
    harness.checkpoint.write_text("{")
    harness.deliver()
    assert harness.messages() == ["a", "b"]
    assert len(harness.messages("event.action:store-damaged")) == 1
    (message,) = harness.messages("event.action:store-restored")
    assert message.endswith("how many the store had before is not known")


def test_events_whose_files_are_gone_are_said_to_be_lost(harness: Harness) -> None:
    with closing(harness.collector()) as delivery:
        harness.write("a", "b")
        until_done(delivery)
        harness.writer.close()
        (path,) = harness.files
        path.unlink()
        harness.write("c")
        until_done(delivery)
        shutil.rmtree(harness.root / "store")
        harness.now += CHECK_SECONDS
        until_done(delivery)
    assert harness.messages() == ["c"]
    (message,) = harness.messages("event.action:store-restored AND log.level:error")
    assert "; 2 are lost: their event files were deleted before" in message
    assert harness.metric("lost_events_total") == 2


def test_events_that_a_newer_version_refuses_are_quarantined_and_not_said_to_be_lost(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.write("a", "b")
    harness.deliver()

    def refuse_b(one: Event) -> DocumentAddress:
        if one["message"] == "b":
            raise RefusedError("no")
        return document_address(one)

    monkeypatch.setattr("tidegate.store.embedded.index.document_address", refuse_b)
    for module in (fields, embedded):
        monkeypatch.setattr(module, "digest", lambda: "0123456789abcdef")
    harness.deliver()
    assert harness.messages() == ["a"]
    assert [one["reason"] for one in harness.quarantined()] == ["no"]
    (damage,) = harness.messages("event.action:store-damaged")
    assert "had 1 events that this version of Tidegate refuses. " in damage
    (message,) = harness.messages("event.action:store-restored")
    assert "lost" not in message
    assert harness.metric("lost_events_total") == 0


def test_files_that_expired_while_the_stack_was_stopped_are_there_for_a_damaged_store(
    harness: Harness,
) -> None:
    with closing(harness.collector()) as delivery:
        for text in ("a", "b"):
            harness.write(text)
            until_done(delivery)
    end_an_hour_ago(harness)
    flip_a_byte(harness.root / "store")
    harness.keep = A_MINUTE
    other = EventWriter(harness.logs, "flights-2")
    other.write(event("c"))
    with closing(harness.collector()) as delivery:
        until_done(delivery)
        assert harness.files == []
        harness.now += CHECK_SECONDS
        until_done(delivery)
    other.close()
    assert harness.messages() == ["a", "b", "c"]
    assert harness.metric("lost_events_total") == 0


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("kind", ["older copy", "deleted"])
def test_a_store_that_is_not_the_last_one_is_filled_although_nothing_new_is_written(
    harness: Harness, kind: str, running: bool
) -> None:
    store, copy = harness.root / "store", harness.root / "copy"
    delivery = harness.collector()
    for text in ("a", "b"):
        harness.write(text)
        until_done(delivery)
        if text == "a":
            delivery.close()
            shutil.copytree(store, copy)
            delivery = harness.collector()
    if not running:
        delivery.close()
    shutil.rmtree(store)
    if kind == "older copy":
        copy.rename(store)
        assert harness.messages() == ["a"]
    if not running:
        delivery = harness.collector()
    with closing(delivery):
        harness.now += CHECK_SECONDS
        delivery.step()
        until_done(delivery)
        assert harness.messages() == ["a", "b"]
        assert harness.metric("store_damages_total") == 1
        harness.now += CHECK_SECONDS
        until_done(delivery)
    harness.deliver()
    assert harness.metric("store_damages_total") == 1


def test_a_first_start_is_no_damage(harness: Harness) -> None:
    harness.write("a")
    with closing(harness.collector()) as delivery:
        harness.now += CHECK_SECONDS
        until_done(delivery)
    assert harness.metric("store_damages_total") == 0
    assert json.loads((harness.root / "store" / "format.json").read_text())["format"] == FORMAT
