"""The delivery loop step by step, into a real embedded store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tidegate.collector.delivery import Step
from tidegate.collector.tail import Limits
from tidegate.events import Event, EventWriter
from tidegate.store.base import (
    StoreUnavailableError,
)
from tidegate.store.embedded import EmbeddedStore

from .conftest import Workshop, event, until_done


def test_written_events_are_delivered_once(shop: Workshop, writer: EventWriter) -> None:
    with closing(shop.collector()) as first:
        writer.write(event("a"))
        assert first.step() == Step()
        assert first.step() == Step(done=True)
        writer.write(event("b"))
        until_done(first)
    with closing(shop.collector()) as second:
        assert second.step() == Step(done=True)
    assert shop.messages() == ["a", "b"]
    assert shop.metric("delivered_total") == 2
    assert shop.metric("sink_up") == 1
    assert shop.metric("lag_bytes") == 0
    assert shop.metric("lag_seconds") == 0


def test_a_full_batch_is_followed_by_the_next_one_immediately(
    shop: Workshop, writer: EventWriter
) -> None:
    shop.limits = Limits(2, 65_536, 1024)
    for number in range(5):
        writer.write(event(str(number)))
    with closing(shop.collector()) as delivery:
        assert [delivery.step().more for _ in range(3)] == [True, True, False]
    assert len(shop.messages()) == 5


def test_a_corrupt_checkpoint_delivers_everything_again_and_nothing_twice(
    shop: Workshop, writer: EventWriter
) -> None:
    writer.write(event("a"))
    with closing(shop.collector()) as first:
        until_done(first)
    (shop.root / "collector" / "checkpoint.json").write_text("{")
    with closing(shop.collector()) as second:
        assert until_done(second) == 1
    assert shop.messages() == ["a"]


def test_corrupt_lines_and_rejected_events_are_quarantined_counted_and_logged_once(
    shop: Workshop, writer: EventWriter
) -> None:
    writer.write(event("a"))
    writer.write_line(b"nonsense\n")
    writer.write({**event("refused"), "data_stream": "text"})
    writer.write(event("b"))
    with closing(shop.collector()) as delivery:
        until_done(delivery)
    assert shop.messages() == ["a", "b"]
    found = shop.quarantined()
    assert [entry["reason"].split(":")[0] for entry in found] == [
        "invalid JSON",
        "data_stream must be an object with type, dataset and namespace",
    ]
    (path,) = shop.logs.glob("flights-1.*")
    data = path.read_bytes()
    for entry, start in zip(found, (b"nonsense", b'{"@timestamp"'), strict=True):
        assert entry["file"] == path.name
        assert data[entry["offset"] :].startswith(start)
        assert entry["line"].encode() == data[entry["offset"] :][: entry["bytes"]]
    assert shop.metric("quarantined_total") == 2
    assert shop.metric("delivered_total") == 3  # two of the writer's, one of the collector's own
    (told,) = shop.messages("event.action:set-aside AND log.level:error")
    assert told.startswith(f"quarantined 2 lines, the first at offset {found[0]['offset']} of")


def test_quarantined_lines_of_its_own_log_are_not_logged(shop: Workshop, tmp_path: Path) -> None:
    shop.logs.mkdir()
    (shop.logs / "collector.1-2.0.ndjson").write_text("nonsense\n")
    with closing(shop.collector()) as delivery:
        until_done(delivery)
    assert shop.metric("quarantined_total") == 1
    assert shop.terminal.getvalue() == ""


def test_an_unavailable_store_is_retried_with_backoff_and_logged_once(
    shop: Workshop, writer: EventWriter
) -> None:
    with closing(shop.collector()) as delivery:
        writer.write(event("a", ago=60))
        delivery.step()

        def away(_: Sequence[Event]) -> None:
            raise StoreUnavailableError("gone for lunch")

        shop.sinks[0].trouble = away
        writer.write(event("b", ago=30))
        waits = [delivery.step().away_seconds for _ in range(3)]
        assert waits == pytest.approx([0.2, 0.4, 0.8])
        assert shop.metric("sink_up") == 0
        assert shop.metric("retried_total") == 3
        assert shop.metric("lag_bytes") > 0
        assert shop.metric("lag_seconds") == pytest.approx(30, abs=0.1)
        shop.sinks[0].trouble = None
        assert delivery.step() == Step()
        assert shop.metric("sink_up") == 1
        until_done(delivery)
    assert shop.messages() == ["a", "b"]
    assert shop.messages("event.dataset:tidegate.collector") == [
        "the sink is unavailable, retrying: gone for lunch",
        "the sink is available again",
    ]


def test_opening_the_store_is_retried(shop: Workshop, writer: EventWriter) -> None:
    writer.write(event("a"))
    other = EmbeddedStore(shop.root / "store")
    with closing(shop.collector()) as delivery:
        assert delivery.step().away_seconds > 0
        other.close()
        until_done(delivery)
    assert shop.messages() == ["a"]


def test_a_full_disk_is_retried_and_quarantines_nothing_twice(
    shop: Workshop, writer: EventWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.write(event("a"))
    writer.write_line(b"nonsense\n")
    with closing(shop.collector()) as delivery:
        real = delivery.checkpoint.save

        def full(_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(delivery.checkpoint, "save", full)
        assert delivery.step().away_seconds > 0
        assert delivery.step().away_seconds > 0
        monkeypatch.setattr(delivery.checkpoint, "save", real)
        until_done(delivery)
    assert shop.messages() == ["a"]
    assert len(shop.quarantined()) == 1
    assert "No space left on device" in shop.terminal.getvalue()


def test_a_kill_between_quarantine_and_checkpoint_quarantines_nothing_twice(
    shop: Workshop, writer: EventWriter
) -> None:
    writer.write_line(b"first\n")
    with closing(shop.collector()) as delivery:
        until_done(delivery)
    writer.write_line(b"second\n")
    checkpoint = (shop.root / "collector" / "checkpoint.json").read_bytes()
    with closing(shop.collector()) as delivery:
        until_done(delivery)
    (shop.root / "collector" / "checkpoint.json").write_bytes(checkpoint)
    with closing(shop.collector()) as delivery:
        until_done(delivery)
    assert [entry["line"] for entry in shop.quarantined()] == ["first", "second"]


def test_a_truncated_file_is_logged(shop: Workshop, writer: EventWriter) -> None:
    writer.write(event("a" * 100))
    with closing(shop.collector()) as delivery:
        until_done(delivery)
        (path,) = shop.logs.glob("flights-1.*")
        path.write_text("")
        until_done(delivery)
    assert "was truncated" in shop.terminal.getvalue()
