"""`tidegate monitor watch`: the watcher of labels as a process."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

from tidegate.events.event import Event
from tidegate.monitoring.concept.watch import QUERY, ErrorRateChange, Watcher, WatcherMetrics
from tidegate.runtime.daemon import daemon_event_writer, metrics_server, run_daemon
from tidegate.runtime.event_log import EventLog, Terminal
from tidegate.runtime.identity import event_origin
from tidegate.settings import Settings
from tidegate.store.base import EventStore, QueryError, StoreUnavailableError
from tidegate.store.kinds import open_store
from tidegate.store.search.follower import Follower

NODE: Final = "watch"
POLL_SECONDS: Final = 2.0
LOOKBACK: Final = timedelta(days=1)
"""How far back the watcher reads at its start, so that detectors have a baseline."""


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        The exit code: 0 after a signal, 2 if the watcher cannot start, with the reason on stderr.
    """
    return run_daemon(NODE, lambda stop: _run(settings, stop), (StoreUnavailableError,))


def _run(settings: Settings, stop: threading.Event) -> None:
    metrics = WatcherMetrics()
    host, port = settings.stack.metrics_host, settings.drift.watch_port
    with (
        daemon_event_writer(settings, NODE) as writer,
        metrics_server(metrics.registry, host, port, "drift.watch_port"),
        closing(open_store(settings, read_only=True)) as store,
    ):
        watcher = Watcher(settings.drift, metrics)
        event_log = EventLog(writer, event_origin(settings, NODE), listeners=[Terminal()])
        watch(store, watcher, event_log, stop)


def watch(store: EventStore, watcher: Watcher, event_log: EventLog, stop: threading.Event) -> None:
    """Read recent labels, then new ones. An unavailable store is polled until it recovers."""
    follower = Follower(store, QUERY, datetime.now(UTC) - LOOKBACK)
    while not stop.is_set():
        try:
            # One by one, so that a day of labels needs little memory and does not delay a stop.
            for change in watcher.feed(_until(stop, follower.events())):
                record_change(event_log, change)
        except (StoreUnavailableError, QueryError) as error:  # the query is always valid
            message = f"the store is unavailable: {error}"
            event_log.condition("store-unavailable", message, cause="unavailable")
        else:
            event_log.resolved("store-unavailable", "the store is available again")
        stop.wait(POLL_SECONDS)


def _until(stop: threading.Event, events: Iterable[Event]) -> Iterator[Event]:
    for event in events:
        if stop.is_set():
            return
        yield event


def record_change(event_log: EventLog, change: ErrorRateChange) -> None:
    """Log a change of the error rate. If it is found again after a restart, its event has the same id."""
    event_log.record(
        "change",
        change.message,
        level="warn",
        dataset="drift",
        fields=change.fields(),
        event_id=change.event_id,
        at_ns=change.shown_by.at_us * 1000,
    )
