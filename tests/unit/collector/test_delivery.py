"""The delivery loop step by step, into a real embedded store."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from support.harnesses.collector_harness import Harness, event, until_done
from tidegate.collector.delivery import Step
from tidegate.collector.tail import Limits
from tidegate.events.event import Event, encode
from tidegate.events.writer import EventWriter
from tidegate.store import own_fields
from tidegate.store.base import (
    StoreUnavailableError,
)
from tidegate.store.embedded import index
from tidegate.store.embedded.store import EmbeddedStore


def test_written_events_are_delivered_once(harness: Harness, writer: EventWriter) -> None:
    with closing(harness.collector()) as first:
        writer.write(event("a"))
        assert first.step() == Step()
        assert first.step() == Step(done=True)
        writer.write(event("b"))
        until_done(first)
    with closing(harness.collector()) as second:
        assert second.step() == Step(done=True)
    assert harness.messages() == ["a", "b"]
    assert harness.metric("delivered_total") == 2
    assert harness.metric("sink_up") == 1
    assert harness.metric("lag_bytes") == 0
    assert harness.metric("lag_seconds") == 0


def test_a_full_batch_is_followed_by_the_next_one_immediately(
    harness: Harness, writer: EventWriter
) -> None:
    harness.limits = Limits(2, 65_536, 1024)
    for number in range(5):
        writer.write(event(str(number)))
    with closing(harness.collector()) as delivery:
        assert [delivery.step().more for _ in range(3)] == [True, True, False]
    assert len(harness.messages()) == 5


def test_a_corrupt_checkpoint_delivers_everything_again_and_nothing_twice(
    harness: Harness, writer: EventWriter
) -> None:
    writer.write(event("a"))
    with closing(harness.collector()) as first:
        until_done(first)
    (harness.root / "collector" / "checkpoint.json").write_text("{")
    with closing(harness.collector()) as second:
        assert until_done(second) == 1
    assert harness.messages() == ["a"]


def test_corrupt_lines_and_rejected_events_are_quarantined_counted_and_logged_once(
    harness: Harness, writer: EventWriter
) -> None:
    writer.write(event("a"))
    writer.write_line(b"nonsense\n")
    writer.write({**event("refused"), "data_stream": "text"})
    writer.write(event("b"))
    with closing(harness.collector()) as delivery:
        until_done(delivery)
    assert harness.messages() == ["a", "b"]
    found = harness.quarantined()
    assert [entry["reason"].split(":")[0] for entry in found] == [
        "invalid JSON",
        "data_stream must be an object with type, dataset and namespace",
    ]
    (path,) = harness.logs.glob("flights-1.*")
    data = path.read_bytes()
    for entry, start in zip(found, (b"nonsense", b'{"@timestamp"'), strict=True):
        assert entry["file"] == path.name
        assert data[entry["offset"] :].startswith(start)
        assert entry["line"].encode() == data[entry["offset"] :][: entry["bytes"]]
    assert harness.metric("quarantined_total") == 2
    assert harness.metric("delivered_total") == 3  # two of the writer's, one of the collector's own
    (message,) = harness.messages("event.action:set-aside AND log.level:error")
    assert message.startswith(f"quarantined 2 lines, the first at offset {found[0]['offset']} of")


def test_quarantined_lines_of_its_own_log_are_not_logged(harness: Harness, tmp_path: Path) -> None:
    harness.logs.mkdir()
    (harness.logs / "collector.1-2.0.ndjson").write_text("nonsense\n")
    with closing(harness.collector()) as delivery:
        until_done(delivery)
    assert harness.metric("quarantined_total") == 1
    assert harness.terminal.getvalue() == ""


def test_an_unavailable_store_is_retried_with_backoff_and_logged_once(
    harness: Harness, writer: EventWriter
) -> None:
    with closing(harness.collector()) as delivery:
        writer.write(event("a", ago=60))
        delivery.step()

        def away(_: Sequence[Event]) -> None:
            raise StoreUnavailableError("gone for lunch")

        harness.sinks[0].fault = away
        writer.write(event("b", ago=30))
        waits = [delivery.step().retry_seconds for _ in range(3)]
        assert waits == pytest.approx([0.2, 0.4, 0.8])
        assert harness.metric("sink_up") == 0
        assert harness.metric("retried_total") == 3
        assert harness.metric("lag_bytes") > 0
        assert harness.metric("lag_seconds") == pytest.approx(30, abs=0.1)
        harness.sinks[0].fault = None
        assert delivery.step() == Step()
        assert harness.metric("sink_up") == 1
        until_done(delivery)
    assert harness.messages() == ["a", "b"]
    assert harness.messages("event.dataset:tidegate.collector") == [
        "the sink is unavailable, retrying: gone for lunch",
        "the sink is available again",
    ]


def test_what_failed_attempts_hold_in_cycles_is_freed(
    harness: Harness, writer: EventWriter
) -> None:
    errors: list[weakref.ref[StoreUnavailableError]] = []

    def away(_: Sequence[Event]) -> None:
        error = StoreUnavailableError("gone for lunch")
        error.__context__ = error.__cause__ = OSError(error)  # as urllib3's
        errors.append(weakref.ref(error))
        raise error

    with closing(harness.collector()) as delivery:
        writer.write(event("a"))
        delivery.step()
        harness.sinks[0].fault = away
        writer.write(event("b"))
        gc.disable()
        try:
            for _ in range(4):
                delivery.step()
        finally:
            gc.enable()
    assert len(errors) == 4
    assert sum(error() is not None for error in errors) <= 1


def test_opening_the_store_is_retried(harness: Harness, writer: EventWriter) -> None:
    writer.write(event("a"))
    other = EmbeddedStore(harness.root / "store")
    with closing(harness.collector()) as delivery:
        assert delivery.step().retry_seconds > 0
        other.close()
        until_done(delivery)
    assert harness.messages() == ["a"]


def test_a_full_disk_is_retried_and_quarantines_nothing_twice(
    harness: Harness, writer: EventWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.write(event("a"))
    writer.write_line(b"nonsense\n")
    with closing(harness.collector()) as delivery:
        real = delivery.checkpoint.save

        def full(_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(delivery.checkpoint, "save", full)
        assert delivery.step().retry_seconds > 0
        assert delivery.step().retry_seconds > 0
        monkeypatch.setattr(delivery.checkpoint, "save", real)
        until_done(delivery)
    assert harness.messages() == ["a"]
    assert len(harness.quarantined()) == 1
    assert "No space left on device" in harness.terminal.getvalue()


def test_a_kill_between_quarantine_and_checkpoint_quarantines_nothing_twice(
    harness: Harness, writer: EventWriter
) -> None:
    writer.write_line(b"first\n")
    with closing(harness.collector()) as delivery:
        until_done(delivery)
    writer.write_line(b"second\n")
    checkpoint = (harness.root / "collector" / "checkpoint.json").read_bytes()
    with closing(harness.collector()) as delivery:
        until_done(delivery)
    (harness.root / "collector" / "checkpoint.json").write_bytes(checkpoint)
    with closing(harness.collector()) as delivery:
        until_done(delivery)
    assert [entry["line"] for entry in harness.quarantined()] == ["first", "second"]


def test_more_own_fields_than_are_searchable_are_logged_once(
    harness: Harness, writer: EventWriter
) -> None:
    harness.limits = Limits(1000, 65_536, 65_536)
    for _ in range(3):
        writer.write(event("many", tidegate={f"field{number}": 1 for number in range(70)}))
    with closing(harness.collector()) as delivery:
        until_done(delivery)
    (message,) = harness.messages("event.action:fields-not-searchable AND log.level:warn")
    assert message.startswith("an event of flights has 6 values of its own fields beyond what is")
    assert harness.messages("tidegate.field63:1") == ["many"] * 3


def test_the_own_fields_of_an_event_are_computed_once(
    harness: Harness, writer: EventWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[own_fields.OwnFields] = []

    class Counted(own_fields.OwnFields):
        def __init__(self) -> None:
            super().__init__()
            computed.append(self)

    monkeypatch.setattr(index, "OwnFields", Counted)
    for _ in range(3):
        writer.write(event("a", tidegate={"city": "Kyiv"}))
    with closing(harness.collector()) as delivery:
        until_done(delivery)
    assert len(computed) == 3


def test_a_truncated_file_is_logged(harness: Harness, writer: EventWriter) -> None:
    writer.write(event("a" * 100))
    with closing(harness.collector()) as delivery:
        until_done(delivery)
        (path,) = harness.logs.glob("flights-1.*")
        path.write_text("")
        until_done(delivery)
    assert "was truncated" in harness.terminal.getvalue()


def test_lines_without_an_id_that_replace_others_at_the_same_offset_are_delivered(
    harness: Harness,
) -> None:
    """A program that empties its file and writes on (logrotate's copytruncate)."""
    harness.logs.mkdir()
    path = harness.logs / "another-program.ndjson"

    def write(*texts: str) -> None:
        lines = [event(text) for text in texts]
        for line in lines:
            del line["event"]["id"]
        path.write_bytes(b"".join(map(encode, lines)))

    with closing(harness.collector()) as delivery:
        write("a", "b")
        until_done(delivery)
        write("c")
        until_done(delivery)
    assert harness.messages() == ["a", "b", "c"]
