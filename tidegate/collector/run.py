"""The collector process, and the delivery before a search without a collector."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final

from tidegate.collector.checkpoint import Checkpoint
from tidegate.collector.delivery import NODE, Delivery, Step, sink_backoff
from tidegate.collector.metrics import Metrics
from tidegate.collector.quarantine import Quarantine
from tidegate.collector.retention import Retention, SteadyClock
from tidegate.collector.sink import open_sink, sink_name
from tidegate.collector.tail import Limits, Tail
from tidegate.os_errors import os_error_message
from tidegate.runtime.atomic_files import remove_leftovers
from tidegate.runtime.daemon import (
    CannotStartError,
    daemon_event_writer,
    metrics_server,
    requires_data_folder,
    run_daemon,
)
from tidegate.runtime.event_log import EventLog, Terminal
from tidegate.runtime.heap import share_heap
from tidegate.runtime.identity import event_origin
from tidegate.runtime.locks import LockedError, exclusive_lock
from tidegate.runtime.private_files import UMASK, make_private_folder
from tidegate.settings import Settings
from tidegate.settings.event_pipeline import LOGSTASH_BYTES
from tidegate.store.base import StoreUnavailableError
from tidegate.store.kinds import store_folder
from tidegate.store.query import time_ranges

NOT_ALL_DELIVERED: Final = 1
# A commit costs the embedded store 10 to 15 ms of CPU for any number of events, so there are as few as make
# each event searchable in this time: it waits at most for a delivery, the pause after it, and its own one.
SEARCHABLE_SECONDS: Final = 0.8
# An event is a dozen objects without cycles: at the default of 700 the garbage collector would go through the
# objects of a batch again and again, for 6 % of the CPU.
GARBAGE_OBJECTS: Final = 100_000
# A tenth of the weight of a process that answers requests: under these it gets a core back in a millisecond,
# and on a machine without an idle core its share is enough for the events of what the machine answers.
NICE: Final = 10
# The time that a search without a collector spends on delivery, plus the batch in progress.
SEARCH_SECONDS: Final = 3.0
# A collector that starts during such a search waits for it, so that the stack's start does not fail.
LOCK_SECONDS: Final = 6.0


class CollectorRunsError(CannotStartError):
    """A collector, or a search that delivers, runs in this data folder."""


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT, then deliver the remaining events.

    Returns:
        The exit code: 0 if all events were delivered, 1 if at the end the sink was unavailable or a file
        could not be read, 2 if the collector cannot start (the reason is on stderr).
    """
    os.umask(UMASK)  # for the files of the embedded store, which tantivy creates
    gc.set_threshold(GARBAGE_OBJECTS)
    share_heap()
    _run_after_requests()
    return run_daemon(NODE, lambda stop: _run(settings, stop))


def _run_after_requests() -> None:
    """Let the kernel prefer what answers requests; it is no error if it cannot."""
    with suppress(OSError):
        os.nice(NICE)
        # With autogroups, this is the weight of a session (sched(7)). A terminal's has other programs, too.
        if os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text(str(NICE), encoding="ascii")


def _run(settings: Settings, stop: threading.Event) -> int:
    with ExitStack() as stack:
        delivery = _prepare(stack, settings, stop)
        collector = settings.collector
        return _deliver(delivery, collector.poll_seconds, collector.last_pass_seconds, stop)


def deliver_now(settings: Settings) -> bool:
    """Deliver the event files to the embedded store, unless a collector runs in this data folder.

    This makes the events of an instrumented application searchable without a collector. Events that are not
    delivered within `SEARCH_SECONDS` stay in their files.

    Returns:
        Whether a search finds all events; otherwise stderr has the reason.
    """
    embedded = store_folder(settings) is not None and settings.collector.sink == "store"
    if not (embedded and settings.log_dir.is_dir()):
        return True
    try:
        with ExitStack() as stack:
            delivery = _prepare(stack, settings, None)
            sizes = delivery.sizes()
            deadline = time.monotonic() + SEARCH_SECONDS
            while True:
                step = delivery.step()
                if step.done or step.retry_seconds or not delivery.has_pending(sizes):
                    return not step.retry_seconds
                if time.monotonic() >= deadline:
                    sys.stderr.write(
                        "not all events are delivered yet: search again, or run `tidegate collector`\n"
                    )
                    return False
    except CollectorRunsError:
        return True
    except CannotStartError as error:
        sys.stderr.write(f"the newest events are not delivered: {error}\n")
    except OSError as error:
        sys.stderr.write(f"the newest events are not delivered: {os_error_message(error)}\n")
    return False


def _prepare(stack: ExitStack, settings: Settings, stop: threading.Event | None) -> Delivery:
    """Create the delivery; with `stop`, which ends it, also serve its metrics and log the start."""
    folder: Path = settings.stack.data_dir / "collector"
    with requires_data_folder():
        make_private_folder(folder)
        try:
            stack.enter_context(exclusive_lock(folder / "lock", LOCK_SECONDS if stop else 0.0))
        except LockedError as error:  # two would overwrite each other's checkpoint
            raise CollectorRunsError(f"another collector runs in {folder}") from error
        remove_leftovers(folder / "checkpoint.json")
    writer = stack.enter_context(daemon_event_writer(settings, NODE))
    metrics = Metrics()
    if stop:
        host, port = settings.stack.metrics_host, settings.collector.metrics_port
        stack.enter_context(metrics_server(metrics.registry, host, port, "collector.metrics_port"))
    event_log = EventLog(writer, event_origin(settings, NODE), NODE, [Terminal()])
    checkpoint = Checkpoint(folder / "checkpoint.json")
    progress = checkpoint.load()
    if checkpoint.problem:
        event_log.record("checkpoint-lost", checkpoint.problem, level="warn")

    def rebuilding(done: int, events: int) -> None:
        if stop and stop.is_set():
            raise StoreUnavailableError("stopped: the next start rebuilds the store")
        message = (
            f"rebuilding the store for this version of Tidegate: {done:,} of {events:,} events"
        )
        event_log.record("rebuild", message)

    collector = settings.collector
    line_bytes = collector.line_bytes
    if collector.sink == "logstash":  # else a longer event would never be stored
        line_bytes = min(line_bytes, LOGSTASH_BYTES)
    limits = Limits(collector.batch_events, collector.batch_bytes, line_bytes)
    delivery = Delivery(
        tail=Tail(settings.log_dir, progress, limits, time.time),
        open_sink=partial(open_sink, settings, rebuilding=rebuilding),
        checkpoint=checkpoint,
        quarantine=Quarantine(folder, clock_ns=time.time_ns),
        event_log=event_log,
        metrics=metrics,
        keep=Retention(collector.keep_seconds, collector.keep_bytes),
        event_age=time_ranges.age(settings.store.embedded.retention),
        backoff=sink_backoff(),
        clock=time.time,
        age_clock=SteadyClock(*progress.clock),
        mark=progress.mark,
    )
    stack.callback(delivery.close)
    if stop:
        event_log.record("start", f"delivering {settings.log_dir} into {sink_name(settings)}")
    return delivery


def pause_seconds(step: Step, spent: float, poll_seconds: float) -> float:
    """Return the pause after a step that took `spent` seconds."""
    if step.more or step.retry_seconds:
        return step.retry_seconds
    return max(poll_seconds, 0.0 if step.done else SEARCHABLE_SECONDS - 2 * spent)


def _deliver(
    delivery: Delivery,
    poll_seconds: float,
    last_pass_seconds: float,
    stop: threading.Event,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    while not stop.is_set():
        began = clock()
        step = delivery.step()
        stop.wait(pause_seconds(step, clock() - began, poll_seconds))
    delivery.event_log.record("stop", "stopping: delivering the remaining events")
    # Only the events written so far, because the writers may continue.
    delivery.tail.failed = False
    sizes = delivery.sizes()
    deadline = clock() + last_pass_seconds
    while delivery.has_pending(sizes):
        step = delivery.step()
        if step.done:
            break  # the rest is an incomplete last line, or cannot be read
        if step.retry_seconds and clock() + step.retry_seconds > deadline:
            delivery.event_log.record(
                "not-delivered",
                "the store is unavailable: the remaining events stay in their files",
                level="warn",
            )
            return NOT_ALL_DELIVERED
        time.sleep(step.retry_seconds)
    return NOT_ALL_DELIVERED if delivery.tail.failed else 0
