"""Runs a stack until a signal stops it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from tidegate.os_errors import naming_path, os_error_message
from tidegate.resizer.server import serve_unix
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import probe_session
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout, StackRunningError
from tidegate.stack.gateway.haproxy import GatewayError
from tidegate.stack.processes.environment import with_absolute_paths
from tidegate.stack.supervisor.supervisor import NODE, StartError, Supervisor
from tidegate.stack.supervisor.takeover import open_predecessor
from tidegate.terminal.status_reporters import StatusReporter

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run_stack(settings: Settings, reporter: StatusReporter, *, replace: bool = False) -> int:
    """Run a stack until the first SIGINT, SIGTERM or SIGHUP, which stops it; the second one kills it.

    With `replace` it takes the place of one that runs.

    Returns:
        The exit code: 0 if it was ready and then stopped, 1 if it could not start.
    """
    try:
        async with running_stack(settings, replace=replace) as supervisor:
            supervisor.event_log.listeners.append(reporter.entry)
            with _stop_signals(supervisor), naming_path(settings.stack.data_dir):
                try:
                    return await _until(supervisor, reporter)
                finally:
                    await supervisor.stop()
    except (StackRunningError, StartError, GatewayError) as error:
        reporter.failed(str(error))
    except OSError as error:
        reporter.failed(f"the stack cannot start: {os_error_message(error)}")
    return 1


@asynccontextmanager
async def running_stack(settings: Settings, *, replace: bool = False) -> AsyncIterator[Supervisor]:
    """A supervisor that holds the lock of the data folder; the end of the block stops its programs.

    `Supervisor.start` starts them. To `replace` another stack, it has the lock when that has returned.

    Raises:
        StackRunningError: another stack runs in the data folder, or cannot be replaced.
        OSError: the data folder cannot be written to.
    """
    settings = with_absolute_paths(settings, Path.cwd())
    layout = Layout(settings.stack.data_dir)
    async with AsyncExitStack() as held:
        opened = open_predecessor(layout, settings)
        predecessor = await held.enter_async_context(opened) if replace else None
        if predecessor:
            layout = predecessor.successor_layout()
        layout.make()
        if predecessor is None:
            held.enter_context(layout.locked())
        probe, fetch = await held.enter_async_context(probe_session())

        async def take_folder() -> None:
            if predecessor:
                held.enter_context(layout.locked())
            await held.enter_async_context(serve_unix(supervisor.control(), layout.socket))

        event_log = EventLog.to_files(settings, NODE, NODE)
        supervisor = Supervisor(
            settings,
            layout,
            event_log,
            probe,
            fetch,
            take_folder=take_folder,
            predecessor=predecessor,
        )
        await held.enter_async_context(serve_unix(supervisor.control(), layout.own_socket))
        if predecessor is None:
            await take_folder()
        try:
            yield supervisor
        finally:
            await supervisor.stop()


async def _until(supervisor: Supervisor, reporter: StatusReporter) -> int:
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(supervisor.to_stop.wait())
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
def _stop_signals(supervisor: Supervisor) -> Iterator[None]:
    asked = False
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        nonlocal asked
        if asked:  # by a person; that another stack has taken over is no reason to kill
            supervisor.kill()
        asked = True
        supervisor.to_stop.set()

    for signal_number in SIGNALS:
        loop.add_signal_handler(signal_number, on_signal)
    try:
        yield
    finally:
        for signal_number in SIGNALS:
            loop.remove_signal_handler(signal_number)
