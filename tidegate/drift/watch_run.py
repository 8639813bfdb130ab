"""The watcher of labels as a process: `tidegate monitor watch`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

from tidegate.drift.watch import QUERY, Found, Metrics, Watcher
from tidegate.events import Event, EventWriter, Origin, make_event
from tidegate.runtime.daemon import daemon_event_writer, metrics_server, run_daemon
from tidegate.runtime.identity import event_origin
from tidegate.runtime.terminal_output import write_or_discard
from tidegate.settings import Settings
from tidegate.store.base import EventStore, QueryError, StoreUnavailableError
from tidegate.store.following import Follower
from tidegate.store.opening import open_store

NODE: Final = "watch"
EVERY_SECONDS: Final = 2.0
BEFORE: Final = timedelta(days=1)
"""How far back it reads at its start, so that detectors know what was usual."""


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        The exit code: 0 after a signal, 2 if it cannot start (and then the reason is on stderr).
    """
    return run_daemon(NODE, lambda stop: _run(settings, stop), (StoreUnavailableError,))


def _run(settings: Settings, stop: threading.Event) -> None:
    metrics = Metrics()
    host, port = settings.stack.metrics_host, settings.drift.watch_port
    with (
        daemon_event_writer(settings, NODE) as writer,
        metrics_server(metrics.registry, host, port, "drift.watch_port"),
        closing(open_store(settings, read_only=True)) as store,
    ):
        watcher = Watcher(settings.drift, metrics)
        watch(store, watcher, _teller(writer, event_origin(settings, NODE)), stop)


def watch(
    store: EventStore, watcher: Watcher, tell: Callable[[Found], None], stop: threading.Event
) -> None:
    """Read what there is, and then what arrives; a store that is away is asked again."""
    follower = Follower(store, QUERY, datetime.now(UTC) - BEFORE)
    away = False
    while not stop.is_set():
        try:
            # One by one: a day of labels is not to be held at once, nor to hold up a stop.
            for found in watcher.feed(_until(stop, follower.events())):
                tell(found)
        except (StoreUnavailableError, QueryError) as error:  # the question is always a good one
            if not away:
                write_or_discard(sys.stderr, f"watch: the store is away: {error}\n")
            away = True
        else:
            away = False
        stop.wait(EVERY_SECONDS)


def _until(stop: threading.Event, events: Iterable[Event]) -> Iterator[Event]:
    for event in events:
        if stop.is_set():
            return
        yield event


def _teller(writer: EventWriter, who: Origin) -> Callable[[Found], None]:
    def tell(found: Found) -> None:
        writer.write(
            make_event(
                who,
                "drift",
                found.message,
                unix_ns=found.at_us * 1000,
                level="warn",
                event_id=found.event_id,
                fields=found.fields(),
            )
        )
        write_or_discard(sys.stderr, f"watch: {found.message}\n")

    return tell
