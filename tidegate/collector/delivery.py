"""Carries what the tail reads into the store: one batch at a time, each acknowledged before the next.

The order is the guarantee: the store's commit, then the quarantine, then the checkpoint, then deletion. A
kill between any two of them repeats a step and changes nothing, as events have ids and the checkpoint
knows how large the quarantine was.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, Protocol, runtime_checkable

from tidegate.collector.appending import append
from tidegate.collector.checkpoint import Checkpoint, Progress
from tidegate.collector.janitor import expired
from tidegate.collector.lines import SHOWN_BYTES, Aside
from tidegate.collector.metrics import Metrics
from tidegate.collector.quarantine import Quarantine
from tidegate.collector.sink import Sink
from tidegate.collector.tail import Batch, Tail
from tidegate.events import encode
from tidegate.runtime.backoff import Backoff
from tidegate.runtime.event_log import EventLog
from tidegate.store.base import Rejected, StoreUnavailableError
from tidegate.store.moments import microseconds

NODE: Final = "collector"
# How often the store is asked to drop what is too old.
PRUNE_SECONDS: Final = 600.0


def sink_backoff(random: Callable[[], float] = random.random) -> Backoff:
    """The waits while a sink is unavailable: 0.2, 0.4, 0.8 … 5 s, with jitter."""
    return Backoff(first_seconds=0.2, longest_seconds=5.0, immediate=0, random=random)


@runtime_checkable
class Prunes(Protocol):
    """A store that does not drop old events by itself."""

    def prune(self, before: datetime) -> int:
        """Remove the events of before a moment; how many they were."""
        ...


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept. See the settings `collector.keep_seconds`, `keep_bytes`, `store.embedded`."""

    file_seconds: float
    file_bytes: int
    event_age: timedelta


class Step(NamedTuple):
    """What came of a step.

    Attributes:
        more: the batch was full, so there may be more at once.
        done: there was nothing to deliver.
        away_seconds: the store is away: how long to wait before it is tried again; else 0.
    """

    more: bool = False
    done: bool = False
    away_seconds: float = 0.0


@dataclass(slots=True)
class Delivery:
    """One collector at work.

    Attributes:
        folder: the event files'.
        open_sink: opens what is delivered to; raises StoreUnavailableError if it is away.
        clock: seconds since 1970.
        quarantine_bytes: what of the quarantine belongs to the checkpoint.
    """

    folder: Path
    tail: Tail
    open_sink: Callable[[], Sink]
    checkpoint: Checkpoint
    quarantine: Quarantine
    event_log: EventLog
    metrics: Metrics
    retention: Retention
    backoff: Backoff
    clock: Callable[[], float]
    quarantine_bytes: int = 0
    _sink: Sink | None = field(default=None, init=False)
    _pruned: float = field(default=0.0, init=False)

    def step(self) -> Step:
        """Look, delete what has had its time, and deliver one batch."""
        self.tail.look()
        # Before the delivery, and at each step: neither a steady load nor a full disk may put it off.
        self._tidy()
        batch = self.tail.batch()
        for notice in self.tail.notices():
            self.event_log.record("file-trouble", notice, level="warn")
        self._measure(batch)
        if not batch:
            return Step(done=True)
        try:
            self._deliver(batch)
        except (StoreUnavailableError, OSError) as error:
            return Step(away_seconds=self._away(error))
        self._back()
        return Step(more=batch.full)

    def sizes(self) -> dict[str, int]:
        """How large each file is now."""
        self.tail.look()
        return {name: file.size for name, file in self.tail.files.items()}

    def owes(self, sizes: Mapping[str, int]) -> bool:
        """Whether some of these bytes are not delivered."""
        at = self.tail.offsets
        return any(at.get(n, 0) < size for n, size in sizes.items() if n in self.tail.files)

    def close(self) -> None:
        """Let go of the store."""
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _deliver(self, batch: Batch) -> None:
        rejected = self._append(batch)
        asides = [*batch.asides, *(_refused(batch, one) for one in rejected)]
        # Of a try that failed after this line, nothing may be left.
        self.quarantine.forget_beyond(self.quarantine_bytes)
        self.quarantine.add(asides)
        self._save({**self.tail.offsets, **batch.offsets})
        self.tail.delivered(batch)
        self.metrics.delivered.inc(len(batch.events) - len(rejected))
        self.metrics.quarantined.inc(len(asides))
        self._tell(asides)

    def _append(self, batch: Batch) -> list[Rejected]:
        if not batch.events:
            return []
        if self._sink is None:
            try:
                self._sink = self.open_sink()
            except (StoreUnavailableError, OSError):
                raise
            except Exception as error:  # a fault of ours or a setting of its own: no event's
                raise StoreUnavailableError(f"the sink cannot be opened: {error!r}") from error
        return append(self._sink, [event for _, event in batch.events])

    def _save(self, offsets: dict[str, int]) -> None:
        size = self.quarantine.size()
        self.checkpoint.save(Progress(offsets, size))
        self.quarantine_bytes = size

    def _tell(self, asides: Sequence[Aside]) -> None:
        """Log what was quarantined, except of the collector's own lines, which would never end."""
        first: dict[str, tuple[Aside, int]] = {}
        for aside in asides:
            held, count = first.get(aside.place.file, (aside, 0))
            first[aside.place.file] = held, count + 1
        for name, (aside, count) in first.items():
            if not name.startswith(f"{NODE}."):
                lines = "a line" if count == 1 else f"{count} lines, the first"
                self.event_log.record(
                    "set-aside",
                    f"set aside {lines} at offset {aside.place.offset} of {name}: {aside.reason}",
                    level="error",
                    fields={
                        "log": {
                            "level": "error",
                            "file": {"path": str(self.folder / name)},
                            "offset": aside.place.offset,
                        }
                    },
                )

    def _away(self, error: Exception) -> float:
        self.metrics.sink_up.set(0)
        self.metrics.retried.inc()
        self.event_log.condition(
            "sink-away", f"nothing can be delivered now: {error}", cause="unavailable"
        )
        return self.backoff.failed()

    def _back(self) -> None:
        self.metrics.sink_up.set(1)
        self.backoff.succeeded()
        self.event_log.resolved("sink-away", "delivering again", action="sink-back")

    def _tidy(self) -> None:
        """Delete the files, and now and then the store's events, whose time is over."""
        now = self.clock()
        names = expired(
            self.tail.files.values(),
            self.tail.offsets,
            now=now,
            keep_seconds=self.retention.file_seconds,
            keep_bytes=self.retention.file_bytes,
        )
        for name in names:
            self.tail.delete(name)
        sink: object = self._sink
        if isinstance(sink, Prunes) and now - self._pruned >= PRUNE_SECONDS:
            self._pruned = now
            before = datetime.fromtimestamp(now, UTC) - self.retention.event_age
            try:
                sink.prune(before)
            except StoreUnavailableError as error:
                message = f"old events are not deleted: {error}"
                self.event_log.condition("prune-failed", message, cause="unavailable")
            else:
                self.event_log.resolved("prune-failed", "old events are deleted again")

    def _measure(self, batch: Batch) -> None:
        waiting = {name: self.tail.waiting(name) for name in self.tail.files}
        self.metrics.lag_bytes.set(sum(waiting.values()))
        since = [self.tail.files[name].modified for name, size in waiting.items() if size > 0]
        first_of_files = {place.file: event for place, event in reversed(batch.events)}
        for event in first_of_files.values():
            at = microseconds(str(event.get("@timestamp")))
            if at is not None:
                since.append(at / 1e6)
        oldest = min(since, default=None)
        self.metrics.lag_seconds.set(0 if oldest is None else max(0.0, self.clock() - oldest))


def _refused(batch: Batch, rejected: Rejected) -> Aside:
    place, event = batch.events[rejected.index]
    line = encode(event)[:-1]
    return Aside(place, len(line), rejected.reason, line[:SHOWN_BYTES])


def begin(checkpoint: Checkpoint, quarantine: Quarantine) -> Progress:
    """Take up where the last collector of this folder ended."""
    progress = checkpoint.load()
    if progress.quarantine_bytes is None:
        # Nothing is known: keep all of it, though lines that are still in files come again.
        return Progress(progress.offsets, quarantine.size())
    return progress
