"""A harness for the collector: its folders, a real embedded store and its deliveries."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.collector.checkpoint import Checkpoint
from tidegate.collector.delivery import Delivery, Retention, sink_backoff
from tidegate.collector.metrics import Metrics
from tidegate.collector.quarantine import Quarantine
from tidegate.collector.tail import Limits, Tail
from tidegate.events.event import Event, Origin, make_event
from tidegate.events.writer import EventWriter
from tidegate.runtime.event_log import EventLog, Terminal
from tidegate.store.base import (
    Damage,
    EventStore,
    Rejected,
    SearchRequest,
    SearchResult,
)
from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore
from tidegate.store.own_fields import LeftOut, ignore

ORIGIN = Origin("flights", "1.2.3", "local", "flights-1", "unit")
MICROSECONDS = itertools.count()
NOW = datetime(2026, 3, 1, tzinfo=UTC).timestamp()


@dataclass
class FaultySink:
    """A real embedded store; `fault` may raise before an append."""

    store: EmbeddedStore
    fault: Callable[[Sequence[Event]], None] | None = None
    calls: int = 0

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        self.calls += 1
        if self.fault:
            self.fault(events)
        return self.store.append(events)

    def search(self, request: SearchRequest) -> SearchResult:
        return self.store.search(request)

    def check(self, *, content: bool) -> Damage | None:
        return self.store.check(content=content)

    def forget_damage(self) -> None:
        self.store.forget_damage()

    def count(self) -> int:
        return self.store.count()

    def prune(self, before: datetime) -> int:
        return self.store.prune(before)

    def close(self) -> None:
        self.store.close()


@dataclass
class Harness:
    """The folders of a collector. `collector()` starts one that continues where the last one ended."""

    root: Path
    now: float = NOW
    limits: Limits = field(default_factory=lambda: Limits(1000, 65_536, 1024))
    keep: Retention = field(default_factory=lambda: Retention(1e9, 10**9, timedelta(days=7)))
    sinks: list[FaultySink] = field(default_factory=list)
    terminal: io.StringIO = field(default_factory=io.StringIO)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def open_sink(self, left_out: LeftOut = ignore) -> EventStore:
        self.sinks.append(FaultySink(EmbeddedStore(self.root / "store", left_out=left_out)))
        return self.sinks[-1]

    def collector(self) -> Delivery:
        folder = self.root / "collector"
        folder.mkdir(exist_ok=True)
        checkpoint = Checkpoint(folder / "checkpoint.json")
        quarantine = Quarantine(folder, clock_ns=lambda: 0)
        progress = checkpoint.load()
        writer = EventWriter(self.logs, "collector", clock_ns=lambda: int(self.now * 1e9))
        return Delivery(
            folder=self.logs,
            tail=Tail(
                self.logs,
                progress.offsets,
                self.limits,
                sizes=progress.sizes,
                ends=progress.ends,
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
        )

    def metric(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(f"tidegate_collector_{name}") or 0.0

    def messages(self, query: str = "event.dataset:tidegate.app") -> list[str]:
        found = EmbeddedReader(self.root / "store").search(SearchRequest(query, order="asc"))
        return [hit["message"] for hit in found.hits]

    def quarantined(self) -> list[dict[str, Any]]:
        path = self.root / "collector" / "quarantine.ndjson"
        return [json.loads(text) for text in path.read_text().splitlines()]


def event(message: str, *, ago: float = 0, **more: Any) -> Event:
    """Create an event `ago` seconds before NOW, a microsecond later than the previous one."""
    return make_event(
        ORIGIN,
        "app",
        message,
        unix_ns=int((NOW - ago) * 1e9) + next(MICROSECONDS) * 1000,
        fields=more or None,
    )


def until_done(delivery: Delivery) -> int:
    """Step until nothing is left to deliver; return the number of steps."""
    for steps in range(100):
        if delivery.step().done:
            return steps
    pytest.fail("the delivery does not end")
