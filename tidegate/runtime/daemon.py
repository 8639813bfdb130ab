"""The start and the end of a daemon: signals, the metrics server, exit codes and one-sentence errors."""

from __future__ import annotations

import asyncio
import errno
import math
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

from prometheus_client import CollectorRegistry

from tidegate.events.writer import EventWriter
from tidegate.os_errors import os_error_message, port_error_message
from tidegate.runtime.identity import event_writer
from tidegate.runtime.metrics_server import MetricsHttpServer
from tidegate.runtime.terminal_output import write_or_discard
from tidegate.settings import Settings

EXIT_CANNOT_START: Final = 2
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
OUT_OF_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)
REPEAT_SECONDS: Final = 60.0

ErrorTypes = tuple[type[Exception], ...]


class CannotStartError(RuntimeError):
    """A daemon cannot start. Its text names the setting, what is wrong with it and what to do."""


def run_daemon(
    name: str, main: Callable[[threading.Event], int | None], cannot_start: ErrorTypes = ()
) -> int:
    """Run a daemon of threads. SIGTERM and SIGINT set the event, and `main` must then return.

    `cannot_start` are exceptions that mean the same as `CannotStartError`.

    Returns:
        The exit code: what `main` returns, or 2 if it cannot start (and the reason is on stderr).
    """
    stop = threading.Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    return _exit_code(name, lambda: main(stop), cannot_start)


def run_async_daemon(
    name: str, main: Callable[[], Coroutine[Any, Any, int | None]], cannot_start: ErrorTypes = ()
) -> int:
    """Run a daemon of an event loop. SIGTERM or SIGINT cancels `main` once, which is exit code 0.

    Args and result are those of `run_daemon`.
    """
    return _exit_code(name, lambda: asyncio.run(_until_signal(name, main())), cannot_start)


async def _until_signal(name: str, main: Coroutine[Any, Any, int | None]) -> int | None:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(main)
    loop.set_exception_handler(_loop_errors(name))

    def cancel() -> None:
        if not task.cancelling():  # a second signal must not interrupt the cleanup
            task.cancel()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, cancel)
    try:
        return await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
        return 0


def _loop_errors(name: str) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Reports as asyncio does, except connections that cannot be accepted: these in one line a minute."""
    said = -math.inf

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal said
        error = context.get("exception")
        # asyncio reports it once for each place in the queue of connections, and tries again after a second.
        if not (isinstance(error, OSError) and error.errno in OUT_OF_DESCRIPTORS):
            loop.default_exception_handler(context)
        elif loop.time() >= said + REPEAT_SECONDS:
            said = loop.time()
            text = (error.strerror or "").lower()
            write_or_discard(
                sys.stderr,
                f"{name}: cannot accept a connection or open a file: {text}; raise `ulimit -n`\n",
            )

    return report


def _exit_code(name: str, main: Callable[[], int | None], cannot_start: ErrorTypes) -> int:
    errors: ErrorTypes = (CannotStartError, *cannot_start)
    try:
        return main() or 0
    except errors as error:
        write_or_discard(sys.stderr, f"{name}: {error}\n")
        return EXIT_CANNOT_START


@contextmanager
def daemon_event_writer(settings: Settings, node: str) -> Iterator[EventWriter]:
    """The writer of a daemon's event files, closed at the end of the block.

    Raises:
        CannotStartError: the data folder cannot be written.
    """
    with requires_data_folder():
        writer = event_writer(settings, node)
    with closing(writer):
        yield writer


@contextmanager
def requires_data_folder() -> Iterator[None]:
    """Report an `OSError` of the block as an unusable data folder.

    Raises:
        CannotStartError: the block raised an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise CannotStartError(f"stack.data_dir: {os_error_message(error)}") from error


@contextmanager
def requires_port(setting: str, port: int) -> Iterator[None]:
    """Report an `OSError` of the block as a port that cannot be opened.

    Raises:
        CannotStartError: the block raised an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise CannotStartError(port_error_message(error, setting, port)) from error


@contextmanager
def metrics_server(
    registry: CollectorRegistry, host: str, port: int, setting: str
) -> Iterator[None]:
    """Serve a registry to Prometheus from a thread inside the block; `setting` has the port.

    Raises:
        CannotStartError: the port is taken.
    """
    with requires_port(setting, port):
        server = MetricsHttpServer(registry, host, port)
    with closing(server):
        yield
