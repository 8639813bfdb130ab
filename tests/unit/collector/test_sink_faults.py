"""Events that a sink rejects or fails on, and what is quarantined."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import pytest

from support.doubles.raising import raising
from support.harnesses.collector_harness import Harness, event, until_done
from tidegate.collector import batch_append
from tidegate.collector.tail import Limits
from tidegate.events.event import Event, encode
from tidegate.store.base import StoreUnavailableError


def break_on_poison(events: Sequence[Event]) -> None:
    """A store that fails on one event, whatever comes with it."""
    if any(one["message"] == "poison" for one in events):
        raise KeyError("poison")


@pytest.mark.parametrize("others", [["a", "b", "c", "d"], []])
def test_an_event_that_breaks_the_store_is_quarantined_once_another_succeeds(
    harness: Harness, others: list[str]
) -> None:
    harness.write(*others[:1], "poison", *others[1:])
    harness.fault = break_on_poison
    with closing(harness.collector()) as delivery:
        # Alone it is tried again: the collector's own line about it is the other event.
        assert bool(delivery.step().retry_seconds) is (others == [])
        until_done(delivery)
    assert sorted(harness.messages()) == others
    assert len(harness.messages("event.action:sink-away")) == (0 if others else 1)
    (entry,) = harness.quarantined()
    assert entry["reason"] == "the sink failed on it: KeyError('poison')"


def test_a_sink_that_fails_on_every_event_is_retried_and_nothing_is_quarantined(
    harness: Harness,
) -> None:
    harness.write(*"01234")
    harness.fault = raising(KeyError("items"))
    with closing(harness.collector()) as delivery:
        assert delivery.step().retry_seconds > 0
        assert delivery.step().retry_seconds > 0
        assert delivery.tail.offsets == {}
        harness.fault = None
        until_done(delivery)
    assert harness.messages() == ["0", "1", "2", "3", "4"]
    assert harness.metric("quarantined_total") == 0
    assert (
        "the sink is unavailable, retrying: every event of the batch failed; "
        "the last one: the sink failed on it: KeyError('items')\n"
    ) in harness.terminal.getvalue()


@pytest.mark.parametrize(
    "error",
    [StoreUnavailableError("away"), OSError(28, "No space left on device"), KeyError("why")],
)
def test_an_error_not_caused_by_an_event_quarantines_none(
    harness: Harness, error: Exception
) -> None:
    harness.write("a", "b")
    with closing(harness.collector()) as delivery:
        real, delivery.open_sink = delivery.open_sink, raising(error)
        assert delivery.step().retry_seconds > 0
        delivery.open_sink = real
        delivery.step()
        harness.fault = raising(error)
        harness.write("c")
        assert delivery.step().retry_seconds > 0
        harness.fault = None
        until_done(delivery)
    assert harness.messages() == ["a", "b", "c"]
    assert harness.metric("quarantined_total") == 0


@pytest.mark.parametrize(
    ("key", "nested"),
    [("message", "[" * 600 + "]" * 600), ("labels", '{"a":' * 600 + "1" + "}" * 600)],
)
def test_a_line_nested_too_deeply_is_quarantined(harness: Harness, key: str, nested: str) -> None:
    harness.limits = Limits(1000, 65_536, 65_536)
    odd = event("odd", tidegate={"model": "contradicts the mapping"}, labels=0)
    del odd[key]
    harness.write("a")
    harness.writer.write_line(encode(odd)[:-2] + f',"{key}":{nested}}}\n'.encode())
    harness.write("b")
    harness.deliver()
    assert harness.messages() == ["a", "b"]
    (entry,) = harness.quarantined()
    assert entry["reason"] == "nested more than 200 levels deep"


def test_an_event_whose_repair_fails_is_quarantined(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_append, "move_conflicting_values", raising(RecursionError()))
    harness.write("a")
    harness.writer.write(event("odd", tidegate={"model": "small"}))
    harness.deliver()
    assert harness.messages() == ["a"]
    (entry,) = harness.quarantined()
    assert entry["reason"].startswith("tidegate.model must be an object")


def test_an_event_that_conflicts_with_the_mapping_is_repaired(harness: Harness) -> None:
    harness.write("plain")
    for odd in (
        event("odd", tidegate={"model": "small", "work": "light"}),
        {**event("lost", tidegate={"model": "small"}), "@timestamp": "junk"},
        {**event("never"), "data_stream": "text"},
    ):
        harness.writer.write(odd)
    harness.deliver()
    assert harness.messages() == ["plain", "odd"]
    assert harness.messages("tidegate.work:light") == ["odd"]
    assert ["junk" in entry["line"][:50] for entry in harness.quarantined()] == [True, False]
    assert harness.metric("quarantined_total") == 2
