"""The watcher of labels as a process: `tidegate monitor watch`."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Final

from prometheus_client import start_http_server

from tidegate.drift.watch import QUERY, Found, Metrics, Watcher
from tidegate.events import Event, EventWriter, Origin, make_event
from tidegate.os_errors import port_sentence, sentence
from tidegate.runtime.identity import event_origin, event_writer
from tidegate.runtime.terminal_output import write_or_discard
from tidegate.settings import Settings
from tidegate.store.base import EventStore, QueryError, StoreUnavailableError
from tidegate.store.following import Follower
from tidegate.store.opening import open_store

NODE: Final = "watch"
BAD_START: Final = 2
EVERY_SECONDS: Final = 2.0
BEFORE: Final = timedelta(days=1)
"""How far back it reads at its start, so that detectors know what was usual."""


class _CannotStartError(RuntimeError):
    """Its text says what is wrong and with which setting."""


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        The exit code: 0 after a signal, 2 if it cannot start (and then the reason is on stderr).
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with ExitStack() as stack:
            writer = _writer(stack, settings)
            metrics = Metrics()
            _serve(stack, metrics, settings)
            store = open_store(settings, read_only=True)
            stack.callback(store.close)
            watcher = Watcher(settings.drift, metrics)
            watch(store, watcher, _teller(writer, event_origin(settings, NODE)), stop)
    except (_CannotStartError, StoreUnavailableError) as error:
        sys.stderr.write(f"watch: {error}\n")
        return BAD_START
    return 0


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


def _writer(stack: ExitStack, settings: Settings) -> EventWriter:
    try:
        writer = event_writer(settings, NODE)
    except OSError as error:
        raise _CannotStartError(f"stack.data_dir: {sentence(error)}") from error
    stack.callback(writer.close)
    return writer


def _serve(stack: ExitStack, metrics: Metrics, settings: Settings) -> None:
    port, host = settings.drift.watch_port, settings.stack.metrics_host
    try:
        server, thread = start_http_server(port, host, registry=metrics.registry)
    except OSError as error:
        raise _CannotStartError(port_sentence(error, "drift.watch_port", port)) from error
    for last in (server.server_close, thread.join, server.shutdown):
        stack.callback(last)
