"""The delivery loop step by step, into a real embedded store."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.collector import appending
from tidegate.collector.backoff import Backoff
from tidegate.collector.checkpoint import Checkpoint
from tidegate.collector.delivery import PRUNE_SECONDS, Delivery, Retention, Step, begin
from tidegate.collector.journal import Journal
from tidegate.collector.metrics import Metrics
from tidegate.collector.quarantine import Quarantine
from tidegate.collector.tail import Limits, Tail
from tidegate.events import Event, EventWriter, Origin, encode, make_event
from tidegate.store.base import (
    EventStore,
    Rejected,
    SearchRequest,
    SearchResult,
    StoreUnavailableError,
)
from tidegate.store.embedded import EmbeddedReader, EmbeddedStore

ORIGIN = Origin("flights", "1.2.3", "local", "flights-1", "unit")
MICROSECONDS = itertools.count()
NOW = datetime(2026, 3, 1, tzinfo=UTC).timestamp()


@dataclass
class Troubled:
    """A real store in front of which trouble can be put."""

    store: EmbeddedStore
    trouble: Callable[[Sequence[Event]], None] | None = None
    calls: int = 0

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        self.calls += 1
        if self.trouble:
            self.trouble(events)
        return self.store.append(events)

    def search(self, request: SearchRequest) -> SearchResult:
        return self.store.search(request)

    def prune(self, before: datetime) -> int:
        return self.store.prune(before)

    def close(self) -> None:
        self.store.close()


@dataclass
class Workshop:
    """A collector's folders, and collectors that work in them one after the other."""

    root: Path
    now: float = NOW
    limits: Limits = field(default_factory=lambda: Limits(1000, 65_536, 1024))
    keep: Retention = field(default_factory=lambda: Retention(1e9, 10**9, timedelta(days=7)))
    sinks: list[Troubled] = field(default_factory=list)
    terminal: io.StringIO = field(default_factory=io.StringIO)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def open_sink(self) -> EventStore:
        self.sinks.append(Troubled(EmbeddedStore(self.root / "store")))
        return self.sinks[-1]

    def collector(self) -> Delivery:
        own = self.root / "collector"
        own.mkdir(exist_ok=True)
        checkpoint = Checkpoint(own / "checkpoint.json")
        quarantine = Quarantine(own, clock_ns=lambda: 0)
        progress = begin(checkpoint, quarantine)
        writer = EventWriter(self.logs, "collector", clock_ns=lambda: int(self.now * 1e9))
        return Delivery(
            folder=self.logs,
            tail=Tail(
                self.logs,
                progress.offsets,
                self.limits,
                clock=lambda: self.now,
            ),
            open_sink=self.open_sink,
            checkpoint=checkpoint,
            quarantine=quarantine,
            journal=Journal(
                writer, ORIGIN, clock_ns=lambda: int(self.now * 1e9), terminal=self.terminal
            ),
            metrics=self.metrics,
            retention=self.keep,
            backoff=Backoff(lambda: 1.0),
            clock=lambda: self.now,
            quarantine_bytes=progress.quarantine_bytes or 0,
        )

    def metric(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(f"tidegate_collector_{name}") or 0.0

    def messages(self, query: str = "event.dataset:tidegate.app") -> list[str]:
        found = EmbeddedReader(self.root / "store").search(SearchRequest(query, order="asc"))
        return [hit["message"] for hit in found.hits]

    def quarantined(self) -> list[dict[str, Any]]:
        path = self.root / "collector" / "quarantine.ndjson"
        return [json.loads(text) for text in path.read_text().splitlines()]


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def writer(shop: Workshop) -> Iterator[EventWriter]:
    made = EventWriter(shop.logs, "flights-1", clock_ns=lambda: int(NOW * 1e9))
    yield made
    made.close()


def event(message: str, *, ago: float = 0, **more: Any) -> Event:
    """An event of so long ago, a microsecond after the one made before it."""
    return make_event(
        ORIGIN,
        "app",
        message,
        unix_ns=int((NOW - ago) * 1e9) + next(MICROSECONDS) * 1000,
        fields=more or None,
    )


def until_done(delivery: Delivery) -> int:
    """Step until nothing is left; how many steps."""
    for steps in range(100):
        if delivery.step().done:
            return steps
    pytest.fail("it never ends")


def test_what_is_written_is_found_and_not_delivered_again(
    shop: Workshop, writer: EventWriter
) -> None:
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


def test_a_full_batch_goes_on_at_once(shop: Workshop, writer: EventWriter) -> None:
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


def test_corrupt_lines_and_refused_events_are_set_aside_counted_and_told_once(
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
        "it is no JSON",
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
    assert told.startswith(f"set aside 2 lines, the first at offset {found[0]['offset']} of")


def test_its_own_refused_lines_are_not_told_for_ever(shop: Workshop, tmp_path: Path) -> None:
    shop.logs.mkdir()
    (shop.logs / "collector.1-2.0.ndjson").write_text("nonsense\n")
    with closing(shop.collector()) as delivery:
        until_done(delivery)
    assert shop.metric("quarantined_total") == 1
    assert shop.terminal.getvalue() == ""


def test_a_store_that_is_away_is_tried_again_with_back_off_and_told_once(
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
        "nothing can be delivered now: gone for lunch",
        "delivering again",
    ]


def test_a_store_that_cannot_be_opened_is_tried_again(shop: Workshop, writer: EventWriter) -> None:
    writer.write(event("a"))
    other = EmbeddedStore(shop.root / "store")
    with closing(shop.collector()) as delivery:
        assert delivery.step().away_seconds > 0
        other.close()
        until_done(delivery)
    assert shop.messages() == ["a"]


def test_an_event_that_breaks_the_store_is_set_aside_and_holds_up_no_other(
    shop: Workshop, writer: EventWriter
) -> None:
    for text in ("a", "poison", "b", "c", "d"):
        writer.write(event(text))
    with closing(shop.collector()) as delivery:

        def break_on_poison(events: Sequence[Event]) -> None:
            if any(one["message"] == "poison" for one in events):
                raise KeyError("poison")

        delivery.open_sink()
        (sink,) = shop.sinks
        sink.trouble = break_on_poison
        delivery.open_sink = lambda: sink
        until_done(delivery)
    assert sorted(shop.messages()) == ["a", "b", "c", "d"]
    (entry,) = shop.quarantined()
    assert entry["reason"] == "the sink failed on it: KeyError('poison')"


def test_a_sink_that_fails_on_every_event_is_waited_for_and_nothing_is_set_aside(
    shop: Workshop, writer: EventWriter
) -> None:
    for number in range(5):
        writer.write(event(str(number)))
    with closing(shop.collector()) as delivery:

        def broken(_: Sequence[Event]) -> None:
            raise KeyError("items")

        delivery.open_sink()
        (sink,) = shop.sinks
        sink.trouble = broken
        delivery.open_sink = lambda: sink
        assert delivery.step().away_seconds > 0
        assert delivery.step().away_seconds > 0
        assert delivery.tail.offsets == {}
        sink.trouble = None
        until_done(delivery)
    assert shop.messages() == ["0", "1", "2", "3", "4"]
    assert shop.metric("quarantined_total") == 0
    assert (
        "nothing can be delivered now: every event of the batch failed; "
        "for the last, the sink failed on it: KeyError('items')\n"
    ) in shop.terminal.getvalue()


def test_an_event_that_breaks_the_store_alone_is_set_aside_once_the_store_takes_another(
    shop: Workshop, writer: EventWriter
) -> None:
    writer.write(event("poison"))
    with closing(shop.collector()) as delivery:

        def break_on_poison(events: Sequence[Event]) -> None:
            if any(one["message"] == "poison" for one in events):
                raise KeyError("poison")

        delivery.open_sink()
        (sink,) = shop.sinks
        sink.trouble = break_on_poison
        delivery.open_sink = lambda: sink
        assert delivery.step().away_seconds > 0
        # The collector's own line about it is the other event.
        until_done(delivery)
    (entry,) = shop.quarantined()
    assert entry["reason"] == "the sink failed on it: KeyError('poison')"
    assert len(shop.messages("event.action:sink-away")) == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyError("why")])
def test_a_trouble_that_is_about_no_event_sets_none_aside(
    shop: Workshop, writer: EventWriter, error: Exception
) -> None:
    writer.write(event("a"))
    writer.write(event("b"))
    with closing(shop.collector()) as delivery:

        def no_sink() -> EventStore:
            raise error

        def away(_: Sequence[Event]) -> None:
            no_sink()

        real, delivery.open_sink = delivery.open_sink, no_sink
        assert delivery.step().away_seconds > 0
        delivery.open_sink = real
        delivery.step()
        shop.sinks[0].trouble = away
        writer.write(event("c"))
        assert delivery.step().away_seconds > 0
        shop.sinks[0].trouble = None
        until_done(delivery)
    assert shop.messages() == ["a", "b", "c"]
    assert shop.metric("quarantined_total") == 0


@pytest.mark.parametrize(
    ("key", "nested"),
    [("message", "[" * 600 + "]" * 600), ("labels", '{"a":' * 600 + "1" + "}" * 600)],
)
def test_a_line_nested_too_deep_to_walk_through_is_set_aside(
    shop: Workshop, writer: EventWriter, key: str, nested: str
) -> None:
    shop.limits = Limits(1000, 65_536, 65_536)
    odd = event("odd", tidegate={"model": "contradicts the mapping"}, labels=0)
    del odd[key]
    writer.write(event("a"))
    writer.write_line(encode(odd)[:-2] + f',"{key}":{nested}}}\n'.encode())
    writer.write(event("b"))
    with closing(shop.collector()) as delivery:
        until_done(delivery)
    assert shop.messages() == ["a", "b"]
    (entry,) = shop.quarantined()
    assert entry["reason"] == "it is nested more than 200 levels deep"


def test_an_event_that_cannot_be_made_to_fit_for_a_fault_of_ours_is_set_aside(
    shop: Workshop, writer: EventWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(_: Event) -> Event | None:
        raise RecursionError

    monkeypatch.setattr(appending, "fit", fault)
    writer.write(event("a"))
    writer.write(event("odd", tidegate={"model": "small"}))
    with closing(shop.collector()) as delivery:
        until_done(delivery)
    assert shop.messages() == ["a"]
    (entry,) = shop.quarantined()
    assert entry["reason"].startswith("tidegate.model must be an object")


def test_a_full_disk_is_waited_for_and_sets_nothing_aside_twice(
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


def test_a_kill_between_quarantine_and_checkpoint_sets_nothing_aside_twice(
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


def test_files_are_deleted_only_after_their_delivery(shop: Workshop) -> None:
    shop.keep = Retention(0.0, 0, timedelta(days=7))
    rotating = EventWriter(shop.logs, "flights-1", file_bytes=10)
    for number in range(5):
        rotating.write(event(str(number)))
    for path in shop.logs.iterdir():
        os.utime(path, (NOW, NOW))

    def files() -> int:
        return len(list(shop.logs.glob("flights-1.*")))

    with closing(shop.collector()) as delivery:
        delivery.open_sink()
        (sink,) = shop.sinks
        delivery.open_sink = lambda: sink

        def away(_: Sequence[Event]) -> None:
            raise StoreUnavailableError("away")

        sink.trouble = away
        delivery.step()
        assert files() == 5
        sink.trouble = None
        until_done(delivery)
        shop.now += 3600
        until_done(delivery)
        assert files() == 1  # the newest, which its writer holds
        rotating.close()
        until_done(delivery)
        assert files() == 0
        delivery.step()
        assert delivery.tail.offsets.keys() <= {path.name for path in shop.logs.iterdir()}
    assert sorted(shop.messages()) == ["0", "1", "2", "3", "4"]


def test_files_are_deleted_and_old_events_pruned_while_there_is_always_more_to_deliver(
    shop: Workshop,
) -> None:
    shop.limits = Limits(10, 65_536, 1024)
    shop.keep = Retention(1e9, 20_000, timedelta(days=7))
    rotating = EventWriter(shop.logs, "flights-1", 3000, clock_ns=lambda: int(NOW * 1e9))
    rotating.write(event("old", ago=8 * 86_400))
    kept = []
    with closing(shop.collector()) as delivery:
        for _ in range(40):
            for number in range(10):
                rotating.write(event(str(number)))
            assert delivery.step().more
            kept.append(sum(path.stat().st_size for path in shop.logs.iterdir()))
        assert shop.messages("message:old") == []
        rotating.close()
    # Beside what is kept there are the file being written and what was delivered since the last look.
    assert max(kept) <= 20_000 + 2 * (3000 + 10 * 360)
    assert max(kept) > 20_000


def test_files_are_deleted_while_the_store_is_away(shop: Workshop) -> None:
    shop.keep = Retention(0.0, 0, timedelta(days=7))
    rotating = EventWriter(shop.logs, "flights-1", file_bytes=10)
    rotating.write(event("a"))
    with closing(shop.collector()) as delivery:
        until_done(delivery)

        def full(_: Sequence[Event]) -> None:
            raise OSError(28, "No space left on device")

        shop.sinks[0].trouble = full
        rotating.write(event("b"))
        rotating.close()
        for path in shop.logs.iterdir():
            os.utime(path, (NOW - 3600, NOW - 3600))
        assert len(list(shop.logs.glob("flights-1.*"))) == 2
        assert delivery.step().away_seconds > 0
        (left,) = shop.logs.glob("flights-1.*")
        assert b'"message":"b"' in left.read_bytes()


def test_a_store_that_cannot_prune_now_holds_nothing_up_and_says_so(
    shop: Workshop, writer: EventWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, before: datetime) -> int:
        raise StoreUnavailableError("no space is left")

    monkeypatch.setattr(Troubled, "prune", full)
    for text in ("a", "b"):
        writer.write(event(text))
        if text == "a":
            delivery = shop.collector()
        until_done(delivery)
    delivery.close()
    assert shop.messages() == ["a", "b"]
    assert shop.messages("event.action:prune-failed") == ["old events stay: no space is left"]


def test_old_events_are_pruned_now_and_then(shop: Workshop, writer: EventWriter) -> None:
    writer.write(event("old", ago=8 * 86_400))
    writer.write(event("young"))
    with closing(shop.collector()) as delivery:
        until_done(delivery)
        assert shop.messages() == ["young"]
        writer.write(event("older", ago=9 * 86_400))
        until_done(delivery)
        assert shop.messages() == ["older", "young"]
        shop.now += PRUNE_SECONDS
        until_done(delivery)
        assert shop.messages() == ["young"]


def test_a_file_that_was_cut_is_told(shop: Workshop, writer: EventWriter) -> None:
    writer.write(event("a" * 100))
    with closing(shop.collector()) as delivery:
        until_done(delivery)
        (path,) = shop.logs.glob("flights-1.*")
        path.write_text("")
        until_done(delivery)
    assert "was cut by somebody" in shop.terminal.getvalue()


def test_an_event_that_contradicts_the_mapping_is_made_to_fit(
    shop: Workshop, writer: EventWriter
) -> None:
    writer.write(event("plain"))
    writer.write(event("odd", tidegate={"model": "small", "work": "light"}))
    writer.write({**event("lost", tidegate={"model": "small"}), "@timestamp": "junk"})
    writer.write({**event("never"), "data_stream": "text"})
    with closing(shop.collector()) as delivery:
        until_done(delivery)
    assert shop.messages() == ["plain", "odd"]
    assert shop.messages("tidegate.work:light") == ["odd"]
    assert ["junk" in entry["line"][:50] for entry in shop.quarantined()] == [True, False]
    assert shop.metric("quarantined_total") == 2
