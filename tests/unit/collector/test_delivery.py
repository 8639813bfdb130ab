"""The delivery loop step by step, into a real embedded store."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from contextlib import closing

import pytest

from support.doubles.raising import no_space_left, raising
from support.harnesses.collector_harness import Harness, event, until_done
from tidegate.collector.delivery import Step
from tidegate.collector.tail import Limits
from tidegate.events.event import Event, encode
from tidegate.store.base import StoreUnavailableError


def test_written_events_are_delivered_once(harness: Harness) -> None:
    with closing(harness.collector()) as first:
        harness.write("a")
        assert first.step() == Step()
        assert first.step() == Step(done=True)
        harness.write("b")
        until_done(first)
    with closing(harness.collector()) as second:
        assert second.step() == Step(done=True)
    assert harness.messages() == ["a", "b"]
    found = [harness.metric(name) for name in ("delivered_total", "sink_up", "lag_bytes")]
    assert found == [2, 1, 0]
    assert harness.metric("lag_seconds") == 0


def test_a_full_batch_is_followed_by_the_next_one_immediately(harness: Harness) -> None:
    harness.limits = Limits(2, 65_536, 1024)
    harness.write(*"abcde")
    with closing(harness.collector()) as delivery:
        assert [delivery.step().more for _ in range(3)] == [True, True, False]
    assert len(harness.messages()) == 5


def test_corrupt_lines_and_rejected_events_are_quarantined_counted_and_logged_once(
    harness: Harness,
) -> None:
    harness.write("a")
    harness.writer.write_line(b"nonsense\n")
    harness.writer.write({**event("refused"), "data_stream": "text"})
    harness.write("b")
    harness.deliver()
    assert harness.messages() == ["a", "b"]
    found = harness.quarantined()
    assert [entry["reason"].split(":")[0] for entry in found] == [
        "invalid JSON",
        "data_stream must be an object with type, dataset and namespace",
    ]
    (path,) = harness.files
    data = path.read_bytes()
    for entry, start in zip(found, (b"nonsense", b'{"@timestamp"'), strict=True):
        assert entry["file"] == path.name
        assert data[entry["offset"] :].startswith(start)
        assert entry["line"].encode() == data[entry["offset"] :][: entry["bytes"]]
    assert harness.metric("quarantined_total") == 2
    assert harness.metric("delivered_total") == 3  # two of the writer's, one of the collector's own
    (message,) = harness.messages("event.action:set-aside AND log.level:error")
    assert message.startswith(f"quarantined 2 lines, the first at offset {found[0]['offset']} of")


def test_quarantined_lines_of_its_own_log_are_not_logged(harness: Harness) -> None:
    (harness.logs / "collector.1-2.0.ndjson").write_text("nonsense\n")
    harness.deliver()
    assert harness.metric("quarantined_total") == 1
    assert harness.terminal.getvalue() == ""


def test_an_unavailable_store_is_retried_with_backoff_and_logged_once(harness: Harness) -> None:
    with closing(harness.collector()) as delivery:
        harness.writer.write(event("a", ago=60))
        delivery.step()
        harness.fault = raising(StoreUnavailableError("gone for lunch"))
        harness.writer.write(event("b", ago=30))
        waits = [delivery.step().retry_seconds for _ in range(7)]
        assert waits == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
        assert (harness.metric("sink_up"), harness.metric("retried_total")) == (0, 7)
        assert harness.metric("lag_bytes") > 0
        assert harness.metric("lag_seconds") == pytest.approx(30, abs=0.1)
        harness.fault = None
        assert delivery.step() == Step()
        assert harness.metric("sink_up") == 1
        until_done(delivery)
    assert harness.messages() == ["a", "b"]
    assert delivery.backoff.failures == 0
    assert harness.messages("event.dataset:tidegate.collector") == [
        "the sink is unavailable, retrying: gone for lunch",
        "the sink is available again",
    ]


def test_what_failed_attempts_hold_in_cycles_is_freed(harness: Harness) -> None:
    errors: list[weakref.ref[StoreUnavailableError]] = []

    def away(_: Sequence[Event]) -> None:
        error = StoreUnavailableError("gone for lunch")
        error.__context__ = error.__cause__ = OSError(error)  # as urllib3's
        errors.append(weakref.ref(error))
        raise error

    with closing(harness.collector()) as delivery:
        harness.write("a")
        delivery.step()
        harness.fault = away
        harness.write("b")
        gc.disable()
        try:
            for _ in range(4):
                delivery.step()
        finally:
            gc.enable()
    assert len(errors) == 4
    assert sum(error() is not None for error in errors) <= 1


def test_a_full_disk_is_retried_and_quarantines_nothing_twice(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.write("a")
    harness.writer.write_line(b"nonsense\n")
    with closing(harness.collector()) as delivery:
        with monkeypatch.context() as patched:
            patched.setattr(delivery.checkpoint, "save", no_space_left())
            assert delivery.step().retry_seconds > 0
            assert delivery.step().retry_seconds > 0
        until_done(delivery)
    assert harness.messages() == ["a"]
    assert len(harness.quarantined()) == 1
    assert "No space left on device" in harness.terminal.getvalue()


def test_more_own_fields_than_are_searchable_are_logged_once(harness: Harness) -> None:
    harness.limits = Limits(1000, 65_536, 65_536)
    for _ in range(3):
        many = {f"field{number}": 1 for number in range(70)}
        harness.writer.write(event("many", tidegate=many))
    harness.deliver()
    (message,) = harness.messages("event.action:fields-not-searchable AND log.level:warn")
    assert message.startswith("an event of flights has 6 values of its own fields beyond what is")
    assert harness.messages("tidegate.field63:1") == ["many"] * 3


def test_lines_without_an_id_that_replace_others_at_the_same_offset_are_delivered(
    harness: Harness,
) -> None:
    """A program that empties its file and writes on (logrotate's copytruncate)."""
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
