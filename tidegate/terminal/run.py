"""Runs a stack until a signal stops it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tidegate.os_errors import naming_path, os_error_message
from tidegate.settings import Settings
from tidegate.stack.data_folder import StackRunningError
from tidegate.stack.gateway.haproxy import GatewayError
from tidegate.stack.supervisor.supervisor import StartError, Supervisor, running_stack
from tidegate.terminal.status_reporters import StatusReporter

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run_stack(settings: Settings, reporter: StatusReporter) -> int:
    """Run a stack until the first SIGINT, SIGTERM or SIGHUP, which stops it; the second one kills it.

    Returns:
        The exit code: 0 if it was ready and then stopped, 1 if it could not start.
    """
    try:
        async with running_stack(settings) as supervisor:
            supervisor.event_log.listeners.append(reporter.entry)
            with _stop_signals(supervisor) as stop, naming_path(settings.stack.data_dir):
                try:
                    return await _until(supervisor, reporter, stop)
                finally:
                    await supervisor.stop()
    except (StackRunningError, StartError, GatewayError) as error:
        reporter.failed(str(error))
    except OSError as error:
        reporter.failed(f"the stack cannot start: {os_error_message(error)}")
    return 1


async def _until(supervisor: Supervisor, reporter: StatusReporter, stop: asyncio.Event) -> int:
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            reporter.failed("stopped before it was ready")
            return 1
        starting.result()
        reporter.ready(supervisor.status())
        await stopping
    finally:
        starting.cancel()
        stopping.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
    return 0


@contextmanager
def _stop_signals(supervisor: Supervisor) -> Iterator[asyncio.Event]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            supervisor.kill()
        stop.set()

    for signal_number in SIGNALS:
        loop.add_signal_handler(signal_number, on_signal)
    try:
        yield stop
    finally:
        for signal_number in SIGNALS:
            loop.remove_signal_handler(signal_number)
