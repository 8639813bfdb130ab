"""A harness for the collector: its folders, a real embedded store and its deliveries."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tidegate.collector.checkpoint import Checkpoint
from tidegate.collector.delivery import Delivery, sink_backoff
from tidegate.collector.metrics import Metrics
from tidegate.collector.quarantine import Quarantine
from tidegate.collector.retention import Retention, SteadyClock
from tidegate.collector.tail import Limits, Tail
from tidegate.events.event import Event, Origin, make_event
from tidegate.events.writer import EventWriter
from tidegate.runtime.event_log import EventLog, Terminal
from tidegate.store.base import Rejected, SearchRequest, Sink
from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore
from tidegate.store.own_fields import LeftOut

ORIGIN = Origin("flights", "1.2.3", "local", "flights-1", "unit")
MICROSECONDS = itertools.count()
KEEP_ALL = Retention(1e9, 10**9)
NOW = datetime(2026, 3, 1, tzinfo=UTC).timestamp()


@dataclass
class Harness:
    """The folders of a collector, and a writer of its events.

    `collector()` starts one that continues where the last one ended. Its sink is a real embedded store unless
    `open_sink` opens another; `fault` may raise before an append to the store.
    """

    root: Path
    now: float = NOW
    limits: Limits = field(default_factory=lambda: Limits(1000, 65_536, 1024))
    keep: Retention = KEEP_ALL
    open_sink: Callable[[LeftOut], Sink] | None = None
    fault: Callable[[Sequence[Event]], None] | None = None
    terminal: io.StringIO = field(default_factory=io.StringIO)
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.writer = EventWriter(self.logs, "flights-1", clock_ns=lambda: int(NOW * 1e9))

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def checkpoint(self) -> Path:
        return self.root / "collector" / "checkpoint.json"

    @property
    def files(self) -> list[Path]:
        """The event files of `flights-1`."""
        return list(self.logs.glob("flights-1.*"))

    def write(self, *messages: str) -> None:
        for message in messages:
            self.writer.write(event(message))

    def deliver(self) -> int:
        """Deliver everything with a collector of its own; return the number of its steps."""
        with closing(self.collector()) as delivery:
            return until_done(delivery)

    def collector(self) -> Delivery:
        folder = self.root / "collector"
        folder.mkdir(exist_ok=True)
        checkpoint = Checkpoint(self.checkpoint)
        progress = checkpoint.load()

        def now_ns() -> int:
            return int(self.now * 1e9)

        return Delivery(
            tail=Tail(self.logs, progress, self.limits, lambda: self.now),
            open_sink=self.open_sink or partial(_FaultySink, self),
            checkpoint=checkpoint,
            quarantine=Quarantine(folder, clock_ns=lambda: 0),
            event_log=EventLog(
                EventWriter(self.logs, "collector", clock_ns=now_ns),
                ORIGIN,
                "collector",
                [Terminal(self.terminal)],
                now_ns,
            ),
            metrics=self.metrics,
            keep=self.keep,
            event_age=timedelta(days=7),
            backoff=sink_backoff(lambda: 0.0),
            clock=lambda: self.now,
            age_clock=SteadyClock(*progress.clock),
            mark=progress.mark,
        )

    def metric(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(f"tidegate_collector_{name}") or 0.0

    def messages(self, query: str = "event.dataset:tidegate.app") -> list[str]:
        found = EmbeddedReader(self.root / "store").search(SearchRequest(query, order="asc"))
        return [hit["message"] for hit in found.hits]

    def quarantined(self) -> list[dict[str, Any]]:
        path = self.root / "collector" / "quarantine.ndjson"
        return [json.loads(text) for text in path.read_text().splitlines()]


class _FaultySink(EmbeddedStore):
    def __init__(self, harness: Harness, left_out: LeftOut) -> None:
        super().__init__(harness.root / "store", left_out=left_out)
        self._harness = harness

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        if self._harness.fault:
            self._harness.fault(events)
        return super().append(events)


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
