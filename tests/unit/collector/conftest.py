"""The folders of a collector, a real embedded store, and collectors on them."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.collector.checkpoint import Checkpoint
from tidegate.collector.delivery import Delivery, Retention, begin, sink_backoff
from tidegate.collector.metrics import Metrics
from tidegate.collector.quarantine import Quarantine
from tidegate.collector.tail import Limits, Tail
from tidegate.events.event import Event, Origin, make_event
from tidegate.events.writer import EventWriter
from tidegate.runtime.event_log import EventLog, Terminal
from tidegate.store.base import (
    EventStore,
    Rejected,
    SearchRequest,
    SearchResult,
)
from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore

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
class Harness:
    """The folders of a collector, for collectors that run one after the other."""

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
            event_log=EventLog(
                writer,
                ORIGIN,
                "collector",
                [Terminal(self.terminal)],
                lambda: int(self.now * 1e9),
            ),
            metrics=self.metrics,
            retention=self.keep,
            backoff=sink_backoff(lambda: 0.0),
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
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


@pytest.fixture
def writer(harness: Harness) -> Iterator[EventWriter]:
    made = EventWriter(harness.logs, "flights-1", clock_ns=lambda: int(NOW * 1e9))
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
