"""Delivers batches of events to the sink, one at a time; each is acknowledged before the next.

The order guarantees delivery: the commit of the store, the quarantine, the checkpoint, the deletion. After
a kill between two of them a step is repeated without effect, because the store knows the ids of its events
and the quarantine its lines.
"""

from __future__ import annotations

import gc
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol, runtime_checkable

from tidegate.collector.batch_append import append_batch
from tidegate.collector.checkpoint import Checkpoint, Progress
from tidegate.collector.lines import SHOWN_BYTES, QuarantinedLine
from tidegate.collector.metrics import Metrics
from tidegate.collector.quarantine import Quarantine
from tidegate.collector.restoration import Restoration
from tidegate.collector.retention import Retention, SteadyClock, expired
from tidegate.collector.tail import Batch, Tail
from tidegate.events.event import Event, encode
from tidegate.runtime.backoff import Backoff
from tidegate.runtime.event_log import EventLog
from tidegate.store.base import Damage, Rejected, Sink, StoreUnavailableError
from tidegate.store.own_fields import MAX_FIELDS, MAX_SIZE, MAX_VALUES, LeftOut
from tidegate.store.query.time_ranges import microseconds

NODE: Final = "collector"
# Interval between deletions of expired events from the store.
PRUNE_SECONDS: Final = 600.0
# Interval between checks of an embedded store. A file is read again only if it has changed.
CHECK_SECONDS: Final = 5.0
# Maximum number of services about whose events with too many fields is logged.
MAX_CROWDED: Final = 100


def sink_backoff(random: Callable[[], float] = random.random) -> Backoff:
    """The backoff while a sink is unavailable: 0.2, 0.4, 0.8 … 5 s, with jitter."""
    return Backoff(first_seconds=0.2, longest_seconds=5.0, immediate=0, random=random)


@runtime_checkable
class LocalStore(Protocol):
    """A store that nobody else maintains: the embedded one."""

    def prune(self, before: datetime) -> int:
        """Delete the events before a time, and return their number."""
        ...

    def check(self, *, content: bool, mark: int) -> Damage | None:
        """Set damaged parts aside; return what was damaged until `forget_damage`.

        A store whose own mark is below this one is an older copy.
        """
        ...

    def mark(self) -> int:
        """Return the number of the last commit, which grows with each."""
        ...

    def forget_damage(self) -> None:
        """Say that the events of the damaged part will be delivered again, even after a kill."""
        ...

    def count(self) -> int:
        """Return the number of events."""
        ...


class Step(NamedTuple):
    """The result of a step.

    Attributes:
        more: The batch was full, so more lines may be ready.
        done: There was nothing to deliver.
        retry_seconds: Delay before the next try if the sink is unavailable; else 0.
    """

    more: bool = False
    done: bool = False
    retry_seconds: float = 0.0


@dataclass(slots=True)
class Delivery:
    """The delivery of the event files of one folder.

    Attributes:
        open_sink: Opens the sink, which calls its argument for events with values that cannot be searched;
            raises StoreUnavailableError if it is unavailable.
        keep: Retention of files that are delivered.
        event_age: Older events are deleted from an embedded store.
        clock: Returns seconds since 1970.
        age_clock: The time by which files and stored events expire.
        mark: Of the embedded store when the checkpoint was written.
    """

    tail: Tail
    open_sink: Callable[[LeftOut], Sink]
    checkpoint: Checkpoint
    quarantine: Quarantine
    event_log: EventLog
    metrics: Metrics
    keep: Retention
    event_age: timedelta
    backoff: Backoff
    clock: Callable[[], float]
    age_clock: SteadyClock
    mark: int = 0
    _sink: Sink | None = field(default=None, init=False)
    _pruned: float = field(default=0.0, init=False)
    _checked: float = field(init=False)
    _crowded: set[str] = field(default_factory=set, init=False)
    _restoration: Restoration | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._checked = self.clock()

    def step(self) -> Step:
        """Scan the folder, delete what is expired, and deliver one batch."""
        self.tail.scan()
        # Before the delivery and in each step, so that neither steady load nor a full disk delays it.
        self._prune()
        failure = self._prepare_sink()
        # After the check of the store: a damaged one is restored from the files.
        for name in self._expired():
            self.tail.delete(name)
        batch = self.tail.batch()
        for notice in self.tail.notices():
            self.event_log.record("file-trouble", notice, level="warn")
        for loss in self.tail.losses():
            self.metrics.lost_bytes.inc(loss.size)
            self.event_log.record("events-lost", str(loss), level="error")
        self._measure(batch)
        if failure is not None:
            return Step(retry_seconds=self._sink_failed(str(failure)))
        if not batch:
            return Step(done=True)
        problem: str | None = None
        try:
            self._deliver(batch)
        except (StoreUnavailableError, OSError) as error:
            problem = str(error)
        if problem is not None:  # not in the handler, where the exception still holds the batch
            return Step(retry_seconds=self._sink_failed(problem))
        self._sink_succeeded()
        if self._restoration is not None and not self.has_pending(self._restoration.offsets):
            self._log_restoration(self._restoration)
        return Step(more=batch.full)

    def sizes(self) -> dict[str, int]:
        """Return the current size of each file."""
        self.tail.scan()
        return {name: file.size for name, file in self.tail.files.items()}

    def has_pending(self, sizes: Mapping[str, int]) -> bool:
        """Return whether some of the bytes up to these sizes are not delivered."""
        offsets = self.tail.offsets
        return any(
            offsets.get(name, 0) < size for name, size in sizes.items() if name in self.tail.files
        )

    def close(self) -> None:
        """Close the sink."""
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _deliver(self, batch: Batch) -> None:
        rejected = self._append(batch)
        quarantined = [*batch.quarantined, *(_quarantined(batch, one) for one in rejected)]
        quarantined = self.quarantine.add(quarantined)
        sink: object = self._sink
        mark = sink.mark() if isinstance(sink, LocalStore) else 0
        self._save(self.tail.progress_with(batch), mark)
        self.tail.delivered(batch)
        if self._restoration is not None:
            self._restoration.count_new(batch, rejected)
        self.metrics.delivered.inc(len(batch.events) - len(rejected))
        self.metrics.quarantined.inc(len(quarantined))
        self._log_quarantined(quarantined)

    def _save(self, progress: Progress, mark: int) -> None:
        clock = self.age_clock.now, self.age_clock.jumped_at
        self.checkpoint.save(replace(progress, mark=mark, clock=clock))
        self.mark = mark

    def _append(self, batch: Batch) -> list[Rejected]:
        events = [event for _, event in batch.events]
        return [] if self._sink is None else append_batch(self._sink, events)

    def _log_unsearchable(self, event: Event, left_out: int) -> None:
        """Log once for each service that its events have more fields than are searchable."""
        service = event.get("service")
        name = str(service.get("name")) if isinstance(service, dict) else "another program"
        if name not in self._crowded and len(self._crowded) < MAX_CROWDED:
            self._crowded.add(name)
            self.event_log.record(
                "fields-not-searchable",
                f"an event of {name} has {left_out} values of its own fields beyond what is searchable"
                f" ({MAX_FIELDS} fields, {MAX_VALUES} values, {MAX_SIZE // 1024} KiB): they are stored, and"
                " shown with their event",
                level="warn",
            )

    def _prepare_sink(self) -> Exception | None:
        """Open the sink if there is something to deliver or to delete, and repair it; return why that failed.

        A file is deleted only after the content of a store that would be restored from it has been checked.
        """
        now = self.clock()
        due = not 0 <= now - self._checked < CHECK_SECONDS
        try:
            if self._sink is None:
                expired_files = self._expired()
                # A store that is gone, or an older copy, is noticed although nothing new was written.
                if not self.tail.files:
                    return None
                self._sink = self.open_sink(self._log_unsearchable)
                due = due or bool(expired_files)
            elif not due:
                return None
            self._checked = now
            sink: object = self._sink
            if isinstance(sink, LocalStore):
                damage = sink.check(content=due, mark=self.mark)
                if damage is None and self.age_clock.went_back:
                    damage = Damage("the clock went back: events may have been deleted early", None)
                if damage is not None:
                    self._deliver_again(sink, damage)
                    self.age_clock.went_back = False
        except (StoreUnavailableError, OSError) as error:
            return error
        except Exception as error:  # noqa: BLE001  a bug or an invalid setting, not an invalid event
            return StoreUnavailableError(f"the sink cannot be opened: {error!r}")
        return None

    def _deliver_again(self, store: LocalStore, damage: Damage) -> None:
        """Deliver all event files again; the store ignores the events that it still has."""
        offsets = dict(self.tail.offsets)
        if not offsets and damage.created:
            store.forget_damage()
            return  # a new store at the first start
        if not offsets:  # what was delivered before is unknown
            offsets = {name: file.size for name, file in self.tail.files.items()}
            damage = replace(damage, events=None)
        restoration = Restoration(damage, offsets, store.count())
        # The store reports the damage until the checkpoint is empty, also after a failure or a kill here.
        self._save(Progress(), 0)
        store.forget_damage()
        self._restoration = restoration
        self.tail.offsets.clear()
        self.metrics.store_damages.inc()
        self.event_log.record(
            "store-damaged",
            f"{damage.reason}. {len(self.tail.files)} event files are delivered again",
            level="error",
        )

    def _log_restoration(self, restoration: Restoration) -> None:
        self._restoration = None
        sink: object = self._sink
        if not isinstance(sink, LocalStore):
            return
        restored, lost = restoration.result(sink.count())
        self.metrics.lost_events.inc(lost or 0)
        rest = "none is lost"
        if lost is None:
            rest = "how many the store had before is not known"
        elif lost:
            rest = (
                f"{lost} are lost: their event files were deleted before (collector.keep_seconds)"
            )
        self.event_log.record(
            "store-restored",
            f"{restored} events are in the store again; {rest}",
            level="error" if lost else "warn",
        )

    def _log_quarantined(self, lines: Sequence[QuarantinedLine]) -> None:
        """Log what was quarantined, except of the collector's own lines, which would never end."""
        first: dict[str, tuple[QuarantinedLine, int]] = {}
        for line in lines:
            earliest, count = first.get(line.position.file, (line, 0))
            first[line.position.file] = earliest, count + 1
        for name, (line, count) in first.items():
            if not name.startswith(f"{NODE}."):
                what = "a line" if count == 1 else f"{count} lines, the first"
                self.event_log.record(
                    "set-aside",
                    f"quarantined {what} at offset {line.position.offset} of {name}: {line.reason}",
                    level="error",
                    fields={
                        "log": {
                            "level": "error",
                            "file": {"path": str(self.tail.folder / name)},
                            "offset": line.position.offset,
                        }
                    },
                )

    def _sink_failed(self, problem: str) -> float:
        # urllib3's exceptions are in cycles with their frames, and so with a batch of megabytes. At the
        # threshold of run.py a hundred of them would wait.
        gc.collect()
        self._checked = -math.inf  # it may be damaged
        self.metrics.sink_up.set(0)
        self.metrics.retried.inc()
        self.event_log.condition(
            "sink-away", f"the sink is unavailable, retrying: {problem}", cause="unavailable"
        )
        return self.backoff.failed()

    def _sink_succeeded(self) -> None:
        self.metrics.sink_up.set(1)
        self.backoff.succeeded()
        self.event_log.resolved("sink-away", "the sink is available again", action="sink-back")

    def _expired(self) -> list[str]:
        now = self.age_clock.read(self.clock())
        return expired(self.tail.files.values(), self.tail.offsets, self.keep, now)

    def _prune(self) -> None:
        """Delete expired events of the store, at intervals."""
        now = self.age_clock.read(self.clock())
        sink: object = self._sink
        if isinstance(sink, LocalStore) and abs(now - self._pruned) >= PRUNE_SECONDS:
            self._pruned = now
            before = datetime.fromtimestamp(now, UTC) - self.event_age
            try:
                sink.prune(before)
            except StoreUnavailableError as error:
                message = f"old events are not deleted: {error}"
                self.event_log.condition("prune-failed", message, cause="unavailable")
            else:
                self.event_log.resolved("prune-failed", "old events are deleted again")

    def _measure(self, batch: Batch) -> None:
        pending = {name: self.tail.pending_bytes(name) for name in self.tail.files}
        self.metrics.lag_bytes.set(sum(pending.values()))
        since = [self.tail.files[name].modified for name, size in pending.items() if size > 0]
        first_of_files = {position.file: event for position, event in reversed(batch.events)}
        times = (microseconds(str(event.get("@timestamp"))) for event in first_of_files.values())
        since += [at / 1e6 for at in times if at is not None]
        self.metrics.lag_seconds.set(max(0.0, self.clock() - min(since)) if since else 0)


def _quarantined(batch: Batch, rejected: Rejected) -> QuarantinedLine:
    position, event = batch.events[rejected.index]
    line = encode(event)[:-1]
    return QuarantinedLine(position, len(line), rejected.reason, line[:SHOWN_BYTES])
